"""Image classification sets of TensorFlow Datasets."""

import difflib
import os

import tensorflow as tf

from keras_resizable.data.image_set import ImageSet, Split, shuffled
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.messages import first_line

_FILES_AT_ONCE = 16
_SHUFFLE_BUFFER = 10_000


def load_tfds(name: str, data_dir: str | os.PathLike | None = None) -> ImageSet:
    """A set of TensorFlow Datasets; prepares it first if needed.

    Args:
        name: Its name, such as `"cifar10"` or `"imagenet2012"`.
        data_dir: Folder of prepared sets; that of TensorFlow Datasets if absent.

    Returns:
        An `ImageSet` of encoded images. It evaluates with the split
        `"validation"` if there is one, else `"test"`.

    Raises:
        ValueError: If there is no such set, it is not one of labelled images, or
            it cannot be prepared.
        ImportError: If the extra `data` is not installed.
    """
    tfds = import_extra("tensorflow_datasets", "data")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(
            f"{name!r} is neither a folder nor a set of TensorFlow Datasets."
            f"{_similar(name, tfds.list_builders())}"
        ) from error
    except (AssertionError, ValueError) as error:  # Of its version or configuration.
        reason = first_line(error)
        raise ValueError(
            f"{name!r} is no folder, and TensorFlow Datasets refuses it: {reason}"
        ) from error
    image, label = _keys(tfds, builder)
    try:
        builder.download_and_prepare(file_format="tfrecord")
    except AssertionError as error:  # Some have to be fetched by hand.
        raise ValueError(f"{name!r} cannot be prepared: {error}") from error
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(
            f"{name!r} in {builder.data_path} is of the format "
            f"{builder.info.file_format.value!r}. Prepare it as 'tfrecord'."
        )
    splits = builder.info.splits
    test = next((s for s in ("validation", "test") if s in splits), None)
    if "train" not in splits or test is None:
        raise ValueError(
            f"{name!r} has the splits {sorted(splits)}, but needs 'train' and "
            "'validation' or 'test'."
        )
    features = builder.info.features
    decoders = {image: tfds.decode.SkipDecoding()}

    def parse(record):
        example = features.deserialize_example(record, decoders=decoders)
        return example[image], example[label]

    return ImageSet(
        _split(splits["train"], parse),
        _split(splits[test], parse),
        tuple(features[label].names),
        features[image].shape,
    )


def _similar(name, names):
    similar = difflib.get_close_matches(name.split("/")[0].split(":")[0], names)
    return f" Similar are: {', '.join(similar)}." if similar else ""


def _keys(tfds, builder):
    """The names of the image and of the label in an example."""
    keys = builder.info.supervised_keys or ()
    features = [builder.info.features[key] for key in keys if isinstance(key, str)]
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    if len(features) != 2 or not all(map(isinstance, features, kinds)):
        raise ValueError(f"{builder.name!r} is not a set of labelled images.")
    return keys


def _split(split, parse):
    paths = [os.fspath(path) for path in split.filepaths]

    def read(seed=None):
        files = tf.data.Dataset.from_tensor_slices(paths)
        if seed is not None:
            files = shuffled(files, len(paths), seed)
        records = files.interleave(
            tf.data.TFRecordDataset,
            cycle_length=_FILES_AT_ONCE,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        if seed is not None:
            records = shuffled(records, _SHUFFLE_BUFFER, seed)
        return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)

    return Split(split.num_examples, read)
