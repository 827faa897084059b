"""Images kept beside a trained network, for what is done with it later."""

import os

import numpy as np
import tensorflow as tf

from keras_resizable.data.image_set import Split, from_arrays
from keras_resizable.data.pipeline import eval_dataset, resolved_shape
from keras_resizable.utils.files import read_arrays, replacing


def save_images(
    split: Split,
    path: str | os.PathLike,
    image_shape: tuple[int, int, int],
    *,
    max_images: int = 2000,
    max_bytes: float = 64e6,
    center_crop: bool = False,
) -> None:
    """Writes images of a split, preprocessed as for evaluation, to a `.npz` file.

    The first in random order, with their labels.

    Args:
        split: A `Split` of an `ImageSet`: to calibrate with, of those to train with.
        path: Path of the file.
        image_shape: `(height, width, channels)` of the images.
        max_images: How many at most.
        max_bytes: How many bytes of pixels at most.
        center_crop: Whether to take only the central square.
    """
    count = min(max_images, max(1, int(max_bytes / np.prod(image_shape))))
    dataset = eval_dataset(split, image_shape, 1, center_crop=center_crop, order_seed=0)
    images, labels = [], []
    for batch, label in dataset.take(count).as_numpy_iterator():
        images.append(np.rint((batch[0] + 1) * 127.5).astype(np.uint8))
        labels.append(label[0])
    with replacing(path) as temporary:
        np.savez_compressed(temporary, images=images, labels=labels)


def load_images(path: str | os.PathLike, batch_size: int = 250) -> tf.data.Dataset:
    """Reads what `save_images` wrote.

    Args:
        path: Path of the file.
        batch_size: Images per batch.

    Returns:
        A `tf.data.Dataset` as `eval_dataset` makes them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else.
    """
    arrays = read_arrays(path)
    try:
        labelled = arrays["images"], arrays["labels"]
        image_set = from_arrays(labelled, labelled)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    shape = resolved_shape(image_set.image_shape)
    return eval_dataset(image_set.test, shape, batch_size)
