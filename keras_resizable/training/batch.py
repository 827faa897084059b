"""The batch of a sub-network in a training step, and the losses of its layers."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf


class Batch(NamedTuple):
    """The stem's features of some images, with labels, weights and teacher."""

    features: tf.Tensor
    images: tf.Tensor
    targets: Any
    sample_weight: Any
    teacher: tf.Tensor  # Its probabilities; a scalar without one.
    num_images: tf.Tensor  # Not counting a stand-in black image.

    def part(self, start: tf.Tensor, end: tf.Tensor) -> Self:
        """The part of the batch from image `start` to `end`."""

        def of_images(tensor):
            if tensor is None or tensor.shape.rank == 0:
                return tensor
            return tensor[start:end]

        return keras.tree.map_structure(of_images, self)._replace(
            features=_rows(self.features, start, end),
            num_images=tf.minimum(end - start, self.num_images),
        )


class Collecting(keras.StatelessScope):
    """Keeps losses added by layers; raises if a layer assigns a `trained` weight."""

    def __init__(
        self,
        values: Iterable[tuple[keras.Variable, tf.Tensor]],
        trained: Iterable[keras.Variable],
    ) -> None:
        super().__init__(values, collect_losses=True)
        self._trained = {id(weight) for weight in trained}
        self.added: list[tf.Tensor] = []

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        variable, _ = update
        if id(variable) in self._trained:
            raise ValueError(
                f"A layer assigns its trainable weight {variable.path!r} in training, "
                "as SpectralNormalization does: a step of several sub-networks cannot "
                "support this. Leave such layers out."
            )
        super().add_update(update)

    def add_loss(self, loss: tf.Tensor) -> None:
        super().add_loss(loss)
        # Keras drops losses by `id` when the next part runs, and an `id` may be reused.
        self.added.append(loss)


def _rows(features, start, end):
    """`features[start:end]`, whose gradient would take eight times as long."""
    sizes = tf.unstack(tf.shape(features))[1:]
    begin = tf.stack([start, *(0 for _ in sizes)])
    rows = tf.slice(features, begin, tf.stack([end - start, *sizes]))
    return tf.ensure_shape(rows, (None, *features.shape[1:]))
