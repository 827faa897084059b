"""What a network knows of its training: what was trained when, where it diverged."""

import warnings
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resizable.space import SpatialSpace

# Statistics this many steps older than the convolutions get a warning.
STALE_STEPS = 100
# Images for batch normalisation to estimate a scale's statistics of.
SMALL_SHARE = 16


class StatisticsRecord:
    """The training step at which each scale of each stage was last trained.

    Batch normalisation at a scale that was never trained holds its initial
    statistics, and accuracy silently collapses. This record lets a network report
    that. It is saved with the network, but holds no parameters of it.

    Args:
        space: The `SpatialSpace` of the network.
    """

    def __init__(self, space: SpatialSpace) -> None:
        self._space = space
        self._step = _counter(())
        self._is_of_source = _counter(())
        self._last_trained = _counter((space.num_stages, len(space.scales)))

    @property
    def variables(self) -> list[tf.Variable]:
        """What the record is kept in."""
        return [self._step, self._is_of_source, self._last_trained]

    def add_step(
        self, used: tf.Tensor | np.ndarray, frozen_stages: Collection[int] = ()
    ) -> None:
        """Notes a training step, in a graph.

        Args:
            used: Boolean `(num_stages, number of scales)`, what it trained.
            frozen_stages: Stages whose batch statistics it left as they were: what of
                them was never trained is not now.
        """
        stages = range(self._space.num_stages)
        learns = np.array([[stage not in frozen_stages] for stage in stages])
        used &= learns | (self._last_trained > 0)
        step = self._step + 1
        self._step.assign(step)
        self._is_of_source.assign(0)
        self._last_trained.assign(tf.where(used, step, self._last_trained))

    @property
    def is_trained(self) -> bool:
        """Whether there was a training step."""
        return bool(self._step.numpy() > 0)

    @property
    def is_of_source(self) -> bool:
        """Whether all is as `start_from_largest` left it, without a training step."""
        return bool(self._is_of_source.numpy())

    def untrained(self) -> np.ndarray:
        """Boolean array `(num_stages, number of scales)`: what was never trained."""
        return self._last_trained.numpy() == 0

    def check(self, indices: Sequence[int]) -> None:
        """Raises or warns if a sub-network's statistics cannot be trusted.

        A network that was never trained passes, as any Keras model would.

        Args:
            indices: Scale indices of the sub-network.

        Raises:
            ValueError: If a scale was never trained.
        """
        if not self.is_trained:
            return
        step = self._step.numpy()
        for stage, (index, steps) in enumerate(
            zip(indices, self._last_trained.numpy())
        ):
            where = f"scale {self._space.scales[index]} of stage {stage}"
            if steps[index] == 0:
                raise ValueError(
                    f"The batch normalisation of {where} never saw a batch, so "
                    "the sub-network "
                    f"{str(self._space.from_indices(indices))!r} would "
                    "answer at random. Train this scale; or, if this is what was run "
                    "as nothing else was said, in validation too, set `network.config` "
                    "to what is trained; or cut the sub-network out with "
                    "`network.sub_network(config, calibrate_with=dataset)`. For an "
                    "ablation, set `network.check_statistics = False`."
                )
            if step - steps[index] > STALE_STEPS:
                warnings.warn(
                    f"The batch normalisation of {where} was last trained "
                    f"{step - steps[index]} steps before the convolutions. "
                    "Calibrate: `network.sub_network(config, calibrate_with="
                    "dataset)`.",
                    stacklevel=4,
                )

    def start_from_largest(self) -> None:
        """As if training had seen nothing but full size: of weights from elsewhere."""
        is_full = np.equal(self._space.scales, 1.0)
        self.add_step(np.tile(is_full, (self._space.num_stages, 1)))
        self._is_of_source.assign(1)

    def trust(self, rows: Sequence[np.ndarray] | np.ndarray) -> None:
        """Takes statistics from elsewhere for trained ones.

        Args:
            rows: Boolean `(num_stages, number of scales)`.
        """
        now = max(self._step.numpy(), 1)
        self._last_trained.assign(np.where(rows, now, self._last_trained.numpy()))

    def take(self, other: "StatisticsRecord", columns: Sequence[int | None]) -> None:
        """Notes what was trained of another network.

        Args:
            other: Its record.
            columns: For each scale the position of the other's that it is; None for
                one that was never trained.
        """
        steps = other._last_trained.numpy()
        taken = [0 * steps[:, 0] if c is None else steps[:, c] for c in columns]
        self._step.assign(other._step)
        self._is_of_source.assign(other._is_of_source)
        self._last_trained.assign(np.stack(taken, axis=1))

    def save(self, store: MutableMapping[str, Any]) -> None:
        store["step"] = self._step.numpy()
        store["is_of_source"] = self._is_of_source.numpy()
        store["last_trained"] = self._last_trained.numpy()

    def load(self, store: Mapping[str, Any]) -> None:
        self._step.assign(store["step"])
        self._is_of_source.assign(store["is_of_source"])
        self._last_trained.assign(store["last_trained"])


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


class ShareRecord:
    """How many images and sub-networks shared a batch, in the first step.

    Keras tells a graph nothing of the size of batches, and the last is smaller.
    """

    def __init__(self) -> None:
        self._first = tf.Variable(
            [0, 0],
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self._checked = False

    def add_step(self, num_images: tf.Tensor, count: tf.Tensor) -> None:
        """Notes a training step, in a graph.

        Args:
            num_images: Number of images that this replica got.
            count: Number of sub-networks of the plan.
        """
        step = tf.stack([num_images, count])
        self._first.assign(tf.where(self._first == 0, step, self._first))

    def check(self, strategy: tf.distribute.Strategy) -> None:
        """Checks what was noted, once.

        Raises:
            ValueError: If there were more sub-networks than images.
        """
        if self._checked:
            return
        self._checked = True
        first = strategy.experimental_local_results(self._first)[0].numpy()
        check_shares(*map(int, first))


def check_shares(num_images: int, count: int) -> None:
    """Refuses a batch that cannot be split, and warns of small shares.

    Args:
        num_images: Number of images of a step, on one device.
        count: Number of sub-networks of its plan.

    Raises:
        ValueError: If there are more sub-networks than images.
    """
    if num_images < count:
        raise ValueError(
            f"With `split_batch=True` each of the {count} sub-networks of a step needs "
            f"an image. A batch has {num_images} on a device."
        )
    if num_images < SMALL_SHARE * count:
        warnings.warn(
            f"With `split_batch=True` each of {count} sub-networks gets "
            f"{num_images // count} images of a batch: batch normalisation wants "
            f"{SMALL_SHARE} or more, so batches of {SMALL_SHARE * count} images.",
            stacklevel=2,
        )


def _counter(shape):
    return tf.Variable(
        tf.zeros(shape, tf.int64),
        trainable=False,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
