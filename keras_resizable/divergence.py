"""Where the loss first was not a finite number."""

import tensorflow as tf

from keras_resizable.space import SpatialSpace


class DivergenceRecord:
    """The first training step with a loss that is not finite, and where.

    Every replica notes its own, which costs no communication.

    Args:
        space: The `SpatialSpace` of the network.
    """

    def __init__(self, space: SpatialSpace) -> None:
        self._space = space
        # The step, then the scale indices of the sub-network; -1 for none.
        self._first = tf.Variable(
            [-1] * (1 + space.num_stages),
            dtype=tf.int64,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def add_step(self, step: tf.Tensor, plan: tf.Tensor, row: tf.Tensor) -> None:
        """Notes a training step, in a graph.

        Args:
            step: The optimizer step, an integer tensor.
            plan: Its plan.
            row: The first row of the plan whose loss was not finite, or -1.
        """
        step = tf.cast(step, tf.int64)
        where = tf.concat([[step], tf.cast(plan[tf.maximum(row, 0)], tf.int64)], 0)
        is_first = (row >= 0) & (self._first[0] < 0)
        self._first.assign(tf.where(is_first, where, self._first))

    def read(
        self, strategy: tf.distribute.Strategy
    ) -> tuple[int, tuple[float, ...]] | None:
        """The step and the configuration, or None if no replica here has any."""
        entries = [
            entry.numpy().tolist()
            for entry in strategy.experimental_local_results(self._first)
        ]
        found = sorted(entry for entry in entries if entry[0] >= 0)
        if not found:
            return None
        step, *indices = found[0]
        return step, self._space.from_indices(indices)

    def reset(self) -> None:
        """Forgets."""
        self._first.assign([-1] * (1 + self._space.num_stages))
