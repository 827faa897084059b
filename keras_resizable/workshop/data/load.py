"""Loading an image set from any source."""

import os
import pathlib
import re

import numpy as np

from keras_resizable.utils.arguments import number
from keras_resizable.workshop.data.folder import load_csv, load_folder
from keras_resizable.workshop.data.image_set import (
    Arrays,
    ImageSet,
    from_arrays,
    with_validation,
)
from keras_resizable.workshop.data.tfds import load_tfds

# `name/config:version` in TensorFlow Datasets; anything else is a path.
_NAME_OF_SET = re.compile(r"\w+(:\w+)?(/[\w.=,-]+)*(:[\w.*]+)?(/[^/]+)?")
# 8,000 training and 2,000 test images of Fashion-MNIST (Xiao et al., 2017,
# https://arxiv.org/abs/1708.07747), equally many of each class; its licence is in
# fashion_mnist_LICENSE.
SAMPLE = pathlib.Path(__file__).with_name("fashion_mnist_sample.npz")
_SAMPLE_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def load(
    dataset: str | os.PathLike = "sample",
    data_dir: str | os.PathLike | None = None,
    *,
    validation: float = 0.0,
    balance: bool = False,
) -> ImageSet:
    """Loads an image classification set from any source.

    Args:
        dataset: `"sample"` for the embedded sample of Fashion-MNIST, the path of a
            folder of images by class (`load_folder`) or of a `.csv` file with paths and
            labels (`load_csv`), or the name of a set of TensorFlow Datasets.
        data_dir: Folder of TensorFlow Datasets; by default the environment variable
            `TFDS_DATA_DIR`, or else the package's default.
        validation: Share of the training images for validation; for folders see
            `load_folder`.
        balance: Whether an epoch has equally many images of each class; see
            `load_folder`, for folders and CSV files only.

    Returns:
        An `ImageSet`; its `validation` is None if the share is 0.

    Raises:
        FileNotFoundError: If there is no such folder, or it holds no images.
        ValueError: If there is no such set, or the set is damaged; or if `balance` is
            given for another source than a folder or a CSV file.
        ImportError: If the set needs an extra that is not installed.

    Example:

    >>> from keras_resizable import data
    >>> images = data.load("sample")
    >>> images.train.num_images, images.image_shape
    (8000, (28, 28, 1))
    """
    number("validation", validation, 0, below=1)
    folder = pathlib.Path(dataset).expanduser()
    is_csv = folder.suffix.lower() == ".csv"
    if is_csv or (folder.is_dir() and dataset != "sample"):
        load_files = load_csv if is_csv else load_folder
        return load_files(folder, validation=validation, balance=balance)
    if balance:
        raise ValueError(
            "`balance` needs a folder of images or a CSV file. "
            f"Received: dataset={os.fspath(dataset)!r}"
        )
    if dataset == "sample":
        images = from_arrays(*load_sample(), _SAMPLE_CLASSES)
    elif folder.exists() or not _NAME_OF_SET.fullmatch(str(dataset)):
        raise FileNotFoundError(f"There is no folder {folder.absolute()}.")
    else:
        try:
            images = load_tfds(str(dataset), data_dir)
        except ImportError as error:
            raise ImportError(f"There is no folder {dataset}, and {error}") from error
    return with_validation(images, validation) if validation else images


def load_sample() -> tuple[Arrays, Arrays]:
    """Training and test arrays of the sample, in the form of `keras.datasets`."""
    with np.load(SAMPLE) as sample:
        return (
            (sample["x_train"], sample["y_train"]),
            (sample["x_test"], sample["y_test"]),
        )
