"""Samplers: which sub-networks an optimizer step trains.

A sampler is any callable from the optimizer step, a scalar int64 tensor, to the plan of
that step: scale indices, int32 `(sub-networks, num_stages)`. It is called while a graph
is traced, so anything that changes from step to step must be computed from the tensor.
The samplers below use stateless random numbers: every replica and every resumed run
draws the same plan at the same step. `compile` gives them the network's configurations.
"""

import abc
import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Self, cast

import keras
import tensorflow as tf

from keras_resizable.space import ConfigLike, Configuration, SpatialSpace
from keras_resizable.utils.arguments import integer


class Sampler(abc.ABC):
    """The base class of samplers."""

    _space: SpatialSpace | None = None

    @property
    def length(self) -> int | None:
        """Number of sub-networks of a plan; None if it varies or is unknown."""
        return None

    @property
    def always_has_largest(self) -> bool:
        """Whether the largest sub-network is in every plan."""
        return False

    @property
    def space(self) -> SpatialSpace:
        """The configurations to draw from."""
        if self._space is None:
            raise ValueError(
                f"{self} does not know the configurations yet: "
                "use `network.compile(sampler=...)` or `sampler.for_space(space)`."
            )
        return self._space

    def for_space(self, space: SpatialSpace) -> Self:
        """A copy that draws from the configurations of a space."""
        sampler = copy.copy(self)
        sampler._space = space
        return sampler

    @abc.abstractmethod
    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The plan of a step."""

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self) -> str:
        settings = (f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({', '.join(settings)})"


class _RandomSampler(Sampler):
    """The base class of samplers with a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.seed: int = int(integer("seed", seed))

    def _random(self, step, shape, maxval=None):
        """Random integers, below `maxval` if given, from the seed and the step."""
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        return tf.random.stateless_uniform(
            shape,
            seed,
            minval=None if maxval is None else 0,
            maxval=maxval,
            dtype=tf.int32,
            alg="philox",
        )

    def _draw(self, step, count):
        """Independently drawn configurations."""
        shape = (count, self.space.num_stages)
        return self._random(step, shape, maxval=len(self.space.scales))

    def get_config(self):
        return {"seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_resizable")
class FairSampler(_RandomSampler):
    """Trains every scale factor of every stage exactly once a step.

    A step has one sub-network per scale factor. In each stage they get the scale
    factors in random order (Resizable Neural Networks, section 3.2, "Fair Sampling").

    Args:
        seed: An integer; the seed and the optimizer step determine the plan.
        scales: Scale factors of the network to train; by default all.

    Raises:
        ValueError: If the network lacks one of the scale factors.

    Example:

    >>> from keras_resizable import FairSampler, SpatialSpace
    >>> sampler = FairSampler(seed=1).for_space(SpatialSpace((1.0, 0.5), num_stages=3))
    >>> sampler(0).shape
    TensorShape([2, 3])
    """

    def __init__(self, seed: int = 0, scales: Iterable[float] | None = None) -> None:
        super().__init__(seed)
        self.scales = None if scales is None else [*map(float, scales)]

    @property
    def length(self) -> int | None:
        if self.scales is not None:
            return len(self.scales)
        return None if self._space is None else len(self._space.scales)

    def for_space(self, space: SpatialSpace) -> Self:
        sampler = super().for_space(space)
        sampler._indices()
        return sampler

    def _indices(self):
        known = list(self.space.scales)
        scales = known if self.scales is None else self.scales
        if not scales or not set(scales) <= set(known):
            raise ValueError(
                f"`scales` must be some of the network's scale factors, {known}. "
                f"Received: scales={scales}"
            )
        return tf.constant([known.index(scale) for scale in scales])

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        shape = (self.length, self.space.num_stages)
        order = tf.argsort(self._random(step, shape), axis=0, stable=True)
        return order if self.scales is None else tf.gather(self._indices(), order)

    def get_config(self):
        config = super().get_config()
        return config if self.scales is None else config | {"scales": self.scales}


@keras.saving.register_keras_serializable(package="keras_resizable")
class UniformSampler(_RandomSampler):
    """Trains independently drawn configurations.

    The paper compares fair sampling with this (Resizable Neural Networks, section 3.2).

    Args:
        seed: An integer; the seed and the optimizer step determine the plan.
        num_draws: Configurations per step.

    Example:

    >>> from keras_resizable import SpatialSpace, UniformSampler
    >>> sampler = UniformSampler(num_draws=4).for_space(SpatialSpace((1.0, 0.5), 3))
    >>> sampler(0).shape
    TensorShape([4, 3])
    """

    def __init__(self, seed: int = 0, num_draws: int = 1) -> None:
        super().__init__(seed)
        self.num_draws = integer("num_draws", num_draws, 1)

    @property
    def length(self) -> int:
        return self.num_draws

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self._draw(step, self.num_draws)

    def get_config(self):
        return {**super().get_config(), "num_draws": self.num_draws}


@keras.saving.register_keras_serializable(package="keras_resizable")
class SandwichSampler(_RandomSampler):
    """Trains the largest, the smallest, and independently drawn configurations.

    The sandwich rule (Yu & Huang, 2019, https://arxiv.org/abs/1903.05134, section
    3.2). Every plan contains the largest, as `InPlaceDistillation` requires.

    Args:
        seed: An integer; the seed and the optimizer step determine the plan.
        num_draws: Configurations per step besides the largest and the smallest.

    Example:

    >>> from keras_resizable import SandwichSampler, SpatialSpace
    >>> sampler = SandwichSampler(num_draws=0).for_space(SpatialSpace((1.0, 0.5), 3))
    >>> sampler(0).numpy().tolist()
    [[0, 0, 0], [1, 1, 1]]
    """

    def __init__(self, seed: int = 0, num_draws: int = 1) -> None:
        super().__init__(seed)
        self.num_draws = integer("num_draws", num_draws, 0)

    @property
    def length(self) -> int:
        return 2 + self.num_draws

    @property
    def always_has_largest(self) -> bool:
        return True

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        ends = [self.space.largest.indices, self.space.smallest.indices]
        drawn = self._draw(step, self.num_draws)
        return tf.concat([tf.constant(ends), drawn], axis=0)

    def get_config(self):
        return {**super().get_config(), "num_draws": self.num_draws}


@keras.saving.register_keras_serializable(package="keras_resizable")
class FixedSampler(Sampler):
    """Trains the same configurations in every step.

    Args:
        configs: Configurations, at least one.

    Example:

    >>> from keras_resizable import FixedSampler, SpatialSpace
    >>> sampler = FixedSampler(["1.0", "0.5"]).for_space(SpatialSpace((1.0, 0.5), 3))
    >>> sampler(0).numpy().tolist()
    [[0, 0, 0], [1, 0, 0]]
    """

    def __init__(self, configs: Iterable[ConfigLike]) -> None:
        self.configs = [configs] if isinstance(configs, str) else list(configs)

    @property
    def length(self) -> int:
        return len(self.configs)

    @property
    def always_has_largest(self) -> bool:
        return self._space is not None and self.space.largest in self._read()

    def for_space(self, space: SpatialSpace) -> Self:
        sampler = super().for_space(space)
        sampler._read()
        return sampler

    def _read(self) -> list[Configuration]:
        return [self.space.config(config) for config in self.configs]

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.constant([config.indices for config in self._read()])

    def get_config(self):
        return {"configs": [_plain(config) for config in self.configs]}


@keras.saving.register_keras_serializable(package="keras_resizable")
class PiecewiseSampler(Sampler):
    """Draws from one sampler after the other.

    Like `keras.optimizers.schedules.PiecewiseConstantDecay`. The training step is not
    traced again. `FairSampler` and then a `FixedSampler` of the target alone is the
    paper's scheduled switching (Resizable Neural Networks, section 3.4); batch
    normalisation of other scale factors then no longer changes.

    Args:
        boundaries: The first optimizer step of each sampler after the first.
        samplers: Samplers, or their names, one more than boundaries.

    Raises:
        ValueError: If boundaries do not increase from 1 on, there is not one sampler
            more, or one is no `Sampler`.

    Example:

    >>> from keras_resizable import FixedSampler, PiecewiseSampler
    >>> PiecewiseSampler([1000], ["fair", FixedSampler(["0.5,0.5"])])
    PiecewiseSampler([1000], [FairSampler(seed=0), FixedSampler(configs=['0.5,0.5'])])
    """

    def __init__(
        self, boundaries: Sequence[int], samplers: Sequence[Sampler | str]
    ) -> None:
        self.boundaries = [integer("boundaries", step, 1) for step in boundaries]
        self.samplers = [cast(Sampler, get(sampler)) for sampler in samplers]
        increases = sorted(set(self.boundaries)) == self.boundaries
        has_samplers = all(isinstance(sampler, Sampler) for sampler in self.samplers)
        fits = len(self.samplers) == len(self.boundaries) + 1
        if not (increases and has_samplers and fits):
            raise ValueError(
                "PiecewiseSampler takes increasing boundaries, and one `Sampler` more. "
                f"Received: boundaries={list(boundaries)}, samplers={self.samplers}"
            )

    @property
    def length(self) -> int | None:
        lengths = {sampler.length for sampler in self.samplers}
        return lengths.pop() if len(lengths) == 1 else None

    @property
    def always_has_largest(self) -> bool:
        return all(sampler.always_has_largest for sampler in self.samplers)

    def for_space(self, space: SpatialSpace) -> Self:
        sampler = super().for_space(space)
        sampler.samplers = [each.for_space(space) for each in self.samplers]
        return sampler

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.convert_to_tensor(step)
        boundaries = tf.constant(self.boundaries, step.dtype)
        plan = tf.switch_case(
            tf.reduce_sum(tf.cast(step >= boundaries, tf.int32)),
            [lambda each=each: tf.cast(each(step), tf.int32) for each in self.samplers],
        )
        return tf.ensure_shape(plan, (self.length, self.space.num_stages))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "boundaries": self.boundaries,
            "samplers": [serialize(sampler) for sampler in self.samplers],
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(config["boundaries"], [*map(deserialize, config["samplers"])])

    def __repr__(self) -> str:
        return f"PiecewiseSampler({self.boundaries}, {self.samplers})"


SAMPLERS: dict[str, type[Sampler]] = {
    "fair": FairSampler,
    "uniform": UniformSampler,
    "sandwich": SandwichSampler,
}


def get(
    sampler: Callable[[tf.Tensor], tf.Tensor] | str,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A sampler, from its name or as given."""
    if isinstance(sampler, str) and sampler in SAMPLERS:
        return SAMPLERS[sampler]()
    if isinstance(sampler, type) or not callable(sampler):
        raise ValueError(
            f"`sampler` must be one of {', '.join(map(repr, SAMPLERS))}, or a callable "
            f"such as FairSampler(seed=1). Received: sampler={sampler!r}"
        )
    return sampler


def _plain(config):
    return (
        config if isinstance(config, str) else [float(str(scale)) for scale in config]
    )
