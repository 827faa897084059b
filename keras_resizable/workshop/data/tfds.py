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
    """Loads a set of TensorFlow Datasets, and prepares it first if needed.

    Args:
        name: Name of the set, such as `"cifar10"` or `"imagenet2012"`.
        data_dir: Folder of prepared sets; by default the environment variable
            `TFDS_DATA_DIR`, or else the default of TensorFlow Datasets.

    Returns:
        An `ImageSet` of encoded images; its `test` is the split `"validation"` if there
        is one, else `"test"`.

    Raises:
        ValueError: If there is no such set, or the set cannot be prepared, or has no
            labelled training and test images.
        ImportError: If the extra `data` is not installed.
    """
    tfds = import_extra("tensorflow_datasets", "data")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        image, label = _keys(tfds, builder)
        builder.download_and_prepare(file_format="tfrecord")
    except (AssertionError, ValueError) as error:  # Some sets need a manual download.
        base = re.split("[/:]", name)[0]
        similar = difflib.get_close_matches(base, tfds.list_builders())
        raise ValueError(
            f"{name!r} is not a folder, and TensorFlow Datasets cannot load it: "
            f"{first_line(error)}"
            + (f" Similar are: {', '.join(similar)}." if similar else "")
        ) from error
    splits, file_format = builder.info.splits, builder.info.file_format.value
    test = next((s for s in ("validation", "test") if s in splits), None)
    if "train" not in splits or test is None or file_format != "tfrecord":
        raise ValueError(
            f"{name!r} in {builder.data_path} needs the splits 'train' and "
            f"'validation' or 'test', as 'tfrecord'. Received: {sorted(splits)}, as "
            f"{file_format!r}"
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
        raise ValueError("It is not a set of labelled images.")
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
