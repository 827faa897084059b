"""Which batch statistics of a network have been estimated, and when."""

import warnings
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resizable.space import SpatialSpace

# Statistics this many steps older than the convolutions get a warning.
STALE_STEPS = 100


class StatisticsRecord:
    """The training step at which each scale of each stage was last trained.

    Batch normalisation at a scale that was never trained holds its initial
    statistics, and accuracy collapses without a word. This record lets a network
    say so. It is saved with the network, but holds no parameters of it.

    Args:
        space: The `SpatialSpace` of the network.
    """

    def __init__(self, space: SpatialSpace) -> None:
        self._space = space
        self._step = _counter(())
        self._last_trained = _counter((space.num_stages, len(space.scales)))

    @property
    def variables(self) -> list[tf.Variable]:
        """What the record is kept in."""
        return [self._step, self._last_trained]

    def add_step(self, used: tf.Tensor | np.ndarray) -> None:
        """Notes a training step, in a graph.

        Args:
            used: Boolean `(num_stages, number of scales)`, what it trained.
        """
        step = self._step + 1
        self._step.assign(step)
        self._last_trained.assign(tf.where(used, step, self._last_trained))

    def untrained(self) -> np.ndarray:
        """Boolean array `(num_stages, number of scales)`: what was never trained."""
        return self._last_trained.numpy() == 0

    def check(self, indices: Sequence[int]) -> None:
        """Raises or warns if a sub-network's statistics are not to be trusted.

        A network that was never trained passes: it behaves as Keras's do.

        Args:
            indices: Scale indices of the sub-network.

        Raises:
            ValueError: If a scale was never trained.
        """
        step = self._step.numpy()
        if step == 0:
            return
        for stage, (index, steps) in enumerate(
            zip(indices, self._last_trained.numpy())
        ):
            where = f"scale {self._space.scales[index]} of stage {stage}"
            if steps[index] == 0:
                raise ValueError(
                    f"The batch normalisation of {where} never saw a batch, so "
                    "the sub-network "
                    f"{str(self._space.from_indices(indices))!r} would "
                    "answer at random. Train this scale, or cut the sub-network "
                    "out with `network.sub_network(config, calibrate_with="
                    "dataset)`. For an ablation, set `network.check_statistics "
                    "= False`."
                )
            if step - steps[index] > STALE_STEPS:
                warnings.warn(
                    f"The batch normalisation of {where} was last trained "
                    f"{step - steps[index]} steps before the convolutions. "
                    "Calibrate: `network.sub_network(config, calibrate_with="
                    "dataset)`.",
                    stacklevel=4,
                )

    def save(self, store: MutableMapping[str, Any]) -> None:
        store["step"] = self._step.numpy()
        store["last_trained"] = self._last_trained.numpy()

    def load(self, store: Mapping[str, Any]) -> None:
        self._step.assign(store["step"])
        self._last_trained.assign(store["last_trained"])


def _counter(shape):
    return tf.Variable(
        tf.zeros(shape, tf.int64),
        trainable=False,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
