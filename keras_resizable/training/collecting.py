"""What layers assign, and add to the loss, while a part of a network runs."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf


class Collecting(keras.StatelessScope):
    """A scope that keeps what layers assign, and what they add to the loss.

    Keras forgets losses by their `id` when the next part of the network is called,
    and an `id` can be that of a tensor that is gone.

    Args:
        values: Pairs of a variable and the value that it has in the scope.
        trained: Variables that gradients train: assigning them is refused.
    """

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
        self.added.append(loss)
