"""Images kept next to a trained network, for calibration and evaluation."""

import os

import numpy as np
import tensorflow as tf

from keras_resizable.utils.files import read_arrays, reading, replacing
from keras_resizable.workshop.data.image_set import Split, from_arrays
from keras_resizable.workshop.data.pipeline import eval_dataset, resolved_shape


def save_images(
    split: Split,
    path: str | os.PathLike,
    image_shape: tuple[int, int, int],
    *,
    max_images: int = 2000,
    max_bytes: float = 64e6,
    center_crop: bool = False,
) -> None:
    """Writes randomly drawn images and their labels to a `.npz` file.

    They are preprocessed as for evaluation; `max_bytes` limits the pixels.
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
    """Reads a file of `save_images`, in the form of `eval_dataset`.

    Raises a FileNotFoundError, or a DamagedFileError.
    """
    arrays = read_arrays(path)
    with reading(path):
        labelled = arrays["images"], arrays["labels"]
        image_set = from_arrays(labelled, labelled)
    shape = resolved_shape(image_set.image_shape)
    return eval_dataset(image_set.test, shape, batch_size)
