"""Images kept beside a trained network, to calibrate sub-networks with."""

import os

import numpy as np
import tensorflow as tf

from keras_resizable.data.image_set import Split, from_arrays
from keras_resizable.data.pipeline import eval_dataset, resolved_shape
from keras_resizable.utils.files import read_arrays, replacing

_MAX_IMAGES = 2000
_MAX_BYTES = 64e6


def save_calibration(
    split: Split,
    path: str | os.PathLike,
    image_shape: tuple[int, int, int],
    *,
    center_crop: bool = False,
) -> None:
    """Writes images of a split, preprocessed as for evaluation, to a `.npz` file.

    The first 2,000 in random order, or as many as fit in 64 MB.

    Args:
        split: A `Split` of an `ImageSet`, preferably the one to train with.
        path: Path of the file.
        image_shape: `(height, width, channels)` of the images.
        center_crop: Whether to take only the central square.
    """
    count = min(_MAX_IMAGES, max(1, int(_MAX_BYTES / np.prod(image_shape))))
    dataset = eval_dataset(split, image_shape, 1, center_crop=center_crop, order_seed=0)
    images = [
        np.rint((batch[0] + 1) * 127.5).astype(np.uint8)
        for batch, _ in dataset.take(count).as_numpy_iterator()
    ]
    with replacing(path) as temporary:
        np.savez_compressed(temporary, images=images)


def load_calibration(path: str | os.PathLike, batch_size: int = 250) -> tf.data.Dataset:
    """Reads what `save_calibration` wrote.

    Args:
        path: Path of the file.
        batch_size: Images per batch.

    Returns:
        A `tf.data.Dataset` as `eval_dataset` makes them, with labels of 0.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else.
    """
    arrays = read_arrays(path)
    images = arrays.get("images")
    if images is None or images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"{path} is damaged: it holds no calibration images.")
    labelled = images, np.zeros(len(images), np.int64)
    image_set = from_arrays(labelled, labelled)
    shape = resolved_shape(image_set.image_shape)
    return eval_dataset(image_set.test, shape, batch_size)
