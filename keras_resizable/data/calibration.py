"""Images kept beside a trained network, to calibrate sub-networks with."""

import pathlib
import zipfile

import numpy as np

from keras_resizable.data.pipeline import make_dataset
from keras_resizable.files import replacing


def save_calibration(images, path):
    """Writes images to a `.npz` file.

    Args:
        images: uint8 array `(images, height, width)` or with channels last.
        path: Path of the file.
    """
    with replacing(path) as temporary:
        np.savez_compressed(temporary, images=images)


def load_calibration(path, batch_size=250):
    """Reads what `save_calibration` wrote.

    Args:
        path: Path of the file.
        batch_size: Images per batch.

    Returns:
        A `tf.data.Dataset` as `make_dataset` makes them, with labels of 0.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else.
    """
    path = pathlib.Path(path)
    try:
        with path.open("rb") as file, np.load(file) as contents:
            images = contents["images"]
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is damaged or not a file of calibration images: {error}"
        ) from error
    return make_dataset(images, np.zeros(len(images), np.int32), batch_size)
