"""Image classification sets of TensorFlow Datasets."""

import difflib
import os
import re

import tensorflow as tf

from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.messages import first_line
from keras_resizable.workshop.data.image_set import ImageSet, Split, shuffled

_FILES_AT_ONCE = 16
_SHUFFLE_BUFFER = 10_000


def load_tfds(name: str, data_dir: str | os.PathLike | None = None) -> ImageSet:
    """A set of TensorFlow Datasets, which is prepared first if needed.

    Args:
        name: Its name, such as `"cifar10"` or `"imagenet2012"`.
        data_dir: Folder of prepared sets; that of the environment variable
            `TFDS_DATA_DIR`, or the default of TensorFlow Datasets, if absent.

    Returns:
        An `ImageSet` of encoded images; `test` is the split `"validation"` if there
        is one, else `"test"`.

    Raises:
        ValueError: If there is no such set, its images have no labels, or it cannot
            be prepared.
        ImportError: If the extra `data` is not installed.
    """
    tfds = import_extra("tensorflow_datasets", "data")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        base = re.split("[/:]", name)[0]
        similar = ", ".join(difflib.get_close_matches(base, tfds.list_builders()))
        raise ValueError(
            f"{name!r} is neither a folder nor a set of TensorFlow Datasets."
            f"{similar and f' Similar are: {similar}.'}"
        ) from error
    except (AssertionError, ValueError) as error:  # In its version or configuration.
        raise ValueError(
            f"{name!r} is no folder, and TensorFlow Datasets rejects it: "
            f"{first_line(error)}"
        ) from error
    image, label = _keys(tfds, builder)
    try:
        builder.download_and_prepare(file_format="tfrecord")
    except AssertionError as error:  # Some have to be downloaded by hand.
        raise ValueError(f"{name!r} cannot be prepared: {error}") from error
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(
            f"{name!r} in {builder.data_path} has the format "
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
        records = shuffled(files, len(paths), seed).interleave(
            tf.data.TFRecordDataset,
            cycle_length=_FILES_AT_ONCE,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        records = shuffled(records, _SHUFFLE_BUFFER, seed)
        return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)

    return Split(split.num_examples, read)
