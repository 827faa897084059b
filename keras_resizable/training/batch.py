"""What a sub-network is trained with."""

from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf


class Batch(NamedTuple):
    """What a sub-network is trained with.

    Args:
        features: What comes out of the stem.
        images: The images.
        targets: What Keras calls `y`.
        sample_weight: Weights of the images, or None.
        teacher: What the sub-networks before have handed on, a scalar if nothing.
        num_images: Number of images that this replica got, maybe none.
    """

    features: tf.Tensor
    images: tf.Tensor
    targets: Any
    sample_weight: Any
    teacher: tf.Tensor
    num_images: tf.Tensor

    def part(self, start: tf.Tensor, end: tf.Tensor) -> Self:
        """The images from one place to the next, and all that belongs to them.

        Args:
            start: The first image, a scalar integer tensor.
            end: The one after the last.
        """

        def of_images(tensor):
            if tensor is None or tensor.shape.rank == 0:
                return tensor
            return tensor[start:end]

        return keras.tree.map_structure(of_images, self)._replace(
            features=_rows(self.features, start, end),
            num_images=tf.minimum(end - start, self.num_images),
        )


def _rows(features, start, end):
    """`features[start:end]`, whose gradient would take eight times as long."""
    sizes = tf.unstack(tf.shape(features))[1:]
    begin = tf.stack([start, *(0 for _ in sizes)])
    rows = tf.slice(features, begin, tf.stack([end - start, *sizes]))
    return tf.ensure_shape(rows, (None, *features.shape[1:]))
