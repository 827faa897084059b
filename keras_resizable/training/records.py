"""Records of training: which scales were trained, and where the loss diverged."""

import warnings
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resizable.space import SpatialSpace

# Statistics this many steps older than the convolutions get a warning.
STALE_STEPS = 100
# Images per sub-network that batch normalisation needs.
SMALL_SHARE = 16
_SAVED = ("step", "is_of_full_size", "last_trained")


class StatisticsRecord:
    """The training step at which each scale of each stage was last trained."""

    def __init__(self, space: SpatialSpace) -> None:
        self._space = space
        shape = (space.num_stages, len(space.scales))
        self._step = _variable(tf.zeros((), tf.int64))
        self._is_of_full_size = _variable(tf.zeros((), tf.int64))
        self._last_trained = _variable(tf.zeros(shape, tf.int64))

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that hold the record."""
        return [self._step, self._is_of_full_size, self._last_trained]

    def add_step(
        self, used: tf.Tensor | np.ndarray, frozen_stages: Collection[int] = ()
    ) -> None:
        """Records a step with boolean `(num_stages, number of scales)`, in a graph."""
        # Frozen stages keep their batch statistics: untrained scales stay untrained.
        stages = range(self._space.num_stages)
        learns = np.array([[stage not in frozen_stages] for stage in stages])
        used &= learns | (self._last_trained > 0)
        step = self._step + 1
        self._step.assign(step)
        self._is_of_full_size.assign(0)
        self._last_trained.assign(tf.where(used, step, self._last_trained))

    @property
    def is_trained(self) -> bool:
        """Whether the network was trained."""
        return bool(self._step.numpy() > 0)

    @property
    def is_of_full_size(self) -> bool:
        """Whether nothing was trained since `start_from_full_size`."""
        return bool(self._is_of_full_size.numpy())

    def untrained(self) -> np.ndarray:
        """Which scales were never trained, boolean `(num_stages, number of scales)`."""
        return self._last_trained.numpy() == 0

    def check(self, indices: Sequence[int]) -> None:
        """Raises if a scale of a sub-network was never trained; warns if long ago."""
        if not self.is_trained:
            return
        for stage, (index, steps) in enumerate(
            zip(indices, self._last_trained.numpy())
        ):
            where = f"scale {self._space.scales[index]} of stage {stage + 1}"
            if steps[index] == 0:  # Accuracy would silently collapse.
                raise ValueError(
                    f"The batch normalisation of {where} never saw a batch, so the "
                    f"sub-network {str(self._space.from_indices(indices))!r} would "
                    "answer at random. Train this scale; or set `network.config`, "
                    "which validation uses, to trained scales; or cut it out with "
                    "`network.sub_network(config, calibrate_with=dataset)`. For an "
                    "ablation, set `network.check_statistics = False`."
                )
            age = self._step.numpy() - steps[index]
            if age > STALE_STEPS:
                warnings.warn(
                    f"The batch normalisation of {where} was last trained {age} steps "
                    "before the convolutions. Calibrate: "
                    "`network.sub_network(config, calibrate_with=dataset)`.",
                    stacklevel=4,
                )

    def start_from_full_size(self) -> None:
        """Records that all scales have the statistics of full size."""
        is_full = np.equal(self._space.scales, 1.0)
        self._last_trained.assign(tf.zeros_like(self._last_trained))
        self.add_step(np.tile(is_full, (self._space.num_stages, 1)))
        self._is_of_full_size.assign(1)

    def trust(self, rows: Sequence[np.ndarray] | np.ndarray) -> None:
        """Marks rows, a boolean `(num_stages, number of scales)`, as just trained."""
        now = max(self._step.numpy(), 1)
        self._last_trained.assign(np.where(rows, now, self._last_trained.numpy()))

    def take(self, other: "StatisticsRecord", columns: Sequence[int | None]) -> None:
        """Copies another record; `columns` has its scale for each one here, or None."""
        steps = other._last_trained.numpy()
        taken = [0 * steps[:, 0] if c is None else steps[:, c] for c in columns]
        self._step.assign(other._step)
        self._is_of_full_size.assign(other._is_of_full_size)
        self._last_trained.assign(np.stack(taken, axis=1))

    def save(self, store: MutableMapping[str, Any]) -> None:
        for name, variable in zip(_SAVED, self.variables):
            store[name] = variable.numpy()

    def load(self, store: Mapping[str, Any]) -> None:
        for name, variable in zip(_SAVED, self.variables):
            variable.assign(store[name])


class DivergenceRecord:
    """The first step with a loss that is not finite, recorded by each replica."""

    def __init__(self, space: SpatialSpace) -> None:
        self._space = space
        # The step, then the scale indices of the sub-network; -1 for none.
        self._none = np.full(1 + space.num_stages, -1, np.int64)
        self._first = _variable(self._none, is_shared=False)

    def add_step(self, step: tf.Tensor, plan: tf.Tensor, row: tf.Tensor) -> None:
        """Records a training step, in a graph; a `row` of -1 means a finite loss."""
        step = tf.cast(step, tf.int64)
        where = tf.concat([[step], tf.cast(plan[tf.maximum(row, 0)], tf.int64)], 0)
        is_first = (row >= 0) & (self._first[0] < 0)
        self._first.assign(tf.where(is_first, where, self._first))

    def read(
        self, strategy: tf.distribute.Strategy
    ) -> tuple[int, tuple[float, ...]] | None:
        """The step and the configuration; None if all losses were finite."""
        entries = [
            entry.numpy().tolist()
            for entry in strategy.experimental_local_results(self._first)
        ]
        found = min((entry for entry in entries if entry[0] >= 0), default=None)
        if found is None:
            return None
        step, *indices = found
        return step, self._space.from_indices(indices)

    def reset(self) -> None:
        """Clears the record."""
        self._first.assign(self._none)


class ShareRecord:
    """The images and sub-networks of the first step; a graph lacks batch sizes."""

    def __init__(self) -> None:
        self._first = _variable([0, 0], is_shared=False)
        self._checked = False

    def add_step(self, num_images: tf.Tensor, count: tf.Tensor) -> None:
        """Records this replica's images and the plan's sub-networks, in a graph."""
        step = tf.stack([num_images, count])
        self._first.assign(tf.where(self._first == 0, step, self._first))

    def check(self, strategy: tf.distribute.Strategy) -> None:
        """Checks the record with `check_shares`, once."""
        if self._checked:
            return
        self._checked = True
        first = strategy.experimental_local_results(self._first)[0].numpy()
        check_shares(*map(int, first))


def check_shares(num_images: int, count: int) -> None:
    """Raises if a device's batch has fewer images than sub-networks; warns if few."""
    if num_images < count:
        raise ValueError(
            f"With `split_batch=True` each of the {count} sub-networks of a step needs "
            f"an image. A batch has {num_images} on a device."
        )
    if num_images < SMALL_SHARE * count:
        warnings.warn(
            f"With `split_batch=True` each of {count} sub-networks gets "
            f"{num_images // count} images of a batch: batch normalisation needs "
            f"{SMALL_SHARE} or more, so batches of {SMALL_SHARE * count} images.",
            stacklevel=2,
        )


def _variable(values, is_shared=True):
    synchronization = tf.VariableSynchronization
    return tf.Variable(
        values,
        trainable=False,
        synchronization=synchronization.AUTO if is_shared else synchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
