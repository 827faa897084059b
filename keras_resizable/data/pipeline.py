import numpy as np
import tensorflow as tf


def make_dataset(images, labels, batch_size, shuffle=False, seed=None):
    """Batches of images in [0, 1] and labels, for `fit` or `evaluate`.

    Args:
        images: uint8 array `(images, height, width)` or with channels last.
        labels: Integer array `(images,)`.
        batch_size: Images per batch. The last batch holds what is left.
        shuffle: Whether to shuffle all images anew in every epoch.
        seed: Seed of the shuffling.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`: float32 `(batch, height,
        width, channels)` in [0, 1], and labels `(batch,)`.
    """
    if images.ndim == 3:
        images = images[..., np.newaxis]
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    if shuffle:
        dataset = dataset.shuffle(len(images), seed=seed)
    dataset = dataset.batch(batch_size)
    return dataset.map(_to_unit_range).prefetch(tf.data.AUTOTUNE)


def _to_unit_range(images, labels):
    return tf.cast(images, tf.float32) / 255.0, labels
