"""Loading an image set from any source."""

import os
import pathlib
import re

from keras_resizable.data.folder import load_folder
from keras_resizable.data.image_set import ImageSet, from_arrays, with_validation
from keras_resizable.data.sample import CLASS_NAMES, load_sample
from keras_resizable.data.tfds import load_tfds

# `name/config:version`, as TensorFlow Datasets has it; others are paths.
_NAME_OF_SET = re.compile(r"\w+(:\w+)?(/[\w.=,-]+)*(:[\w.*]+)?(/[^/]+)?")


def load(
    dataset: str | os.PathLike = "sample",
    data_dir: str | os.PathLike | None = None,
    *,
    validation: float = 0.0,
) -> ImageSet:
    """Loads an image classification set, from any source.

    Args:
        dataset: `"sample"` for the embedded sample of Fashion-MNIST, the path of a
            folder of images by class, or the name of a set of TensorFlow Datasets.
        data_dir: Where TensorFlow Datasets keeps its sets.
        validation: Share of the training images that are kept for validation; of a
            folder of images by class see `load_folder`.

    Returns:
        An `ImageSet`; its `validation` is None if there are to be none.

    Raises:
        FileNotFoundError: If there is no such folder, or it holds no images.
        NotADirectoryError: If it is a file.
        ValueError: If there is no such set, or it is damaged.
        ImportError: If it needs an extra that is not installed.

    Example:

    >>> from keras_resizable import data
    >>> images = data.load("sample")
    >>> images.train.num_images, images.image_shape
    (8000, (28, 28, 1))
    """
    if not 0 <= validation < 1:
        raise ValueError(
            f"`validation` is at least 0 and less than 1. Received: {validation}"
        )
    folder = pathlib.Path(dataset).expanduser()
    if dataset != "sample" and folder.is_dir():
        return load_folder(folder, validation=validation)
    images = _load_set(dataset, folder, data_dir)
    return with_validation(images, validation) if validation else images


def _load_set(dataset, folder, data_dir):
    """A set that is no folder of images by class."""
    if dataset == "sample":
        return from_arrays(*load_sample(), CLASS_NAMES)
    if folder.exists():
        raise NotADirectoryError(f"A data set is a folder, and {dataset} is a file.")
    if not _NAME_OF_SET.fullmatch(str(dataset)):
        raise FileNotFoundError(f"There is no folder {folder.absolute()}.")
    try:
        return load_tfds(str(dataset), data_dir)
    except ImportError as error:
        raise ImportError(f"There is no folder {dataset}, and {error}") from error
