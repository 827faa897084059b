"""What a sub-network of a training step gets, and what its layers leave."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf


class Batch(NamedTuple):
    """The stem's features of images, and all that belongs to these."""

    features: tf.Tensor
    images: tf.Tensor
    targets: Any
    sample_weight: Any
    teacher: tf.Tensor  # Its probabilities; a scalar if there is none.
    num_images: tf.Tensor  # Without the black image of a replica that got none.

    def part(self, start: tf.Tensor, end: tf.Tensor) -> Self:
        """The images from `start` to `end`, and all that belongs to them."""

        def of_images(tensor):
            if tensor is None or tensor.shape.rank == 0:
                return tensor
            return tensor[start:end]

        return keras.tree.map_structure(of_images, self)._replace(
            features=_rows(self.features, start, end),
            num_images=tf.minimum(end - start, self.num_images),
        )


class Collecting(keras.StatelessScope):
    """Keeps the losses that layers add, and rejects assigning `trained` weights."""

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
                "keep that. Leave such layers out."
            )
        super().add_update(update)

    def add_loss(self, loss: tf.Tensor) -> None:
        super().add_loss(loss)
        # Keras forgets it by its `id`, which may be reused, when the next part runs.
        self.added.append(loss)


def _rows(features, start, end):
    """`features[start:end]`, whose gradient would take eight times as long."""
    sizes = tf.unstack(tf.shape(features))[1:]
    begin = tf.stack([start, *(0 for _ in sizes)])
    rows = tf.slice(features, begin, tf.stack([end - start, *sizes]))
    return tf.ensure_shape(rows, (None, *features.shape[1:]))
