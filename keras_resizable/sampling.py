"""Samplers: which sub-networks an optimizer step trains.

A sampler is any callable from the optimizer step, a scalar int64 tensor, to the
plan of that step: scale indices, int32 `(sub-networks, num_stages)`. It is
called while a graph is traced, so what changes from step to step has to come
from the tensor. Those below draw from stateless random numbers, so every replica
and every resumed run draws the same plan at the same step.
"""

from collections.abc import Iterable

import keras
import tensorflow as tf

from keras_resizable.space import ConfigLike, SpatialSpace


class _Sampler:
    """What the samplers share: a space, a seed, and Keras serialization."""

    def __init__(self, space: SpatialSpace, seed: int = 0) -> None:
        self.space = space
        self.seed = seed

    def _random(self, step, shape, maxval=None):
        """Integers below `maxval`, or any, seeded by the seed and the step."""
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])
        return tf.random.stateless_uniform(
            shape,
            seed,
            minval=None if maxval is None else 0,
            maxval=maxval,
            dtype=tf.int32,
            alg="philox",
        )

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def get_config(self):
        return {
            "scales": self.space.scales,
            "num_stages": self.space.num_stages,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        space = SpatialSpace(config.pop("scales"), config.pop("num_stages"))
        return cls(space, **config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space}, seed={self.seed})"


@keras.saving.register_keras_serializable(package="keras_resizable")
class FairSampler(_Sampler):
    """Trains every scale factor of every stage exactly once a step.

    One sub-network per scale factor; the scale factors of a stage are a random
    permutation over them (Resizable Neural Networks, section 3.2, "Fair
    Sampling").

    Args:
        space: A `SpatialSpace`.
        seed: An integer. With the optimizer step it decides the plan.
    """

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        shape = (len(self.space.scales), self.space.num_stages)
        return tf.argsort(self._random(step, shape), axis=0, stable=True)


@keras.saving.register_keras_serializable(package="keras_resizable")
class UniformSampler(_Sampler):
    """Trains independently drawn configurations: the naive way.

    The paper's baseline of fair sampling (Resizable Neural Networks, section
    3.2).

    Args:
        space: A `SpatialSpace`.
        seed: An integer. With the optimizer step it decides the plan.
        num_draws: Configurations per step.
    """

    def __init__(self, space: SpatialSpace, seed: int = 0, num_draws: int = 1) -> None:
        super().__init__(space, seed)
        self.num_draws = _check_draws(num_draws, least=1)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        shape = (self.num_draws, self.space.num_stages)
        return self._random(step, shape, maxval=len(self.space.scales))

    def get_config(self):
        return {**super().get_config(), "num_draws": self.num_draws}


@keras.saving.register_keras_serializable(package="keras_resizable")
class SandwichSampler(_Sampler):
    """Trains the largest, the smallest, and independently drawn configurations.

    The sandwich rule (Yu & Huang, 2019, https://arxiv.org/abs/1903.05134, section
    3.2). Its plans have the largest, which `InPlaceDistillation` needs.

    Args:
        space: A `SpatialSpace`.
        seed: An integer. With the optimizer step it decides the plan.
        num_draws: Configurations per step besides the largest and the smallest.
    """

    def __init__(self, space: SpatialSpace, seed: int = 0, num_draws: int = 1) -> None:
        super().__init__(space, seed)
        self.num_draws = _check_draws(num_draws, least=0)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        ends = [self.space.largest, self.space.smallest]
        shape = (self.num_draws, self.space.num_stages)
        drawn = self._random(step, shape, maxval=len(self.space.scales))
        ends = tf.constant([config.indices for config in ends])
        return tf.concat([ends, drawn], axis=0)

    def get_config(self):
        return {**super().get_config(), "num_draws": self.num_draws}


@keras.saving.register_keras_serializable(package="keras_resizable")
class FixedSampler:
    """Trains the same configurations in every step.

    Args:
        space: A `SpatialSpace`.
        configs: Configurations, at least one.

    Raises:
        ValueError: If there is no configuration, or one not of the space.
    """

    def __init__(self, space: SpatialSpace, configs: Iterable[ConfigLike]) -> None:
        self.space = space
        self.configs = [space.config(c) for c in configs]
        if not self.configs:
            raise ValueError("`configs` must hold at least one configuration.")

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.constant([config.indices for config in self.configs])

    def get_config(self):
        return {
            "scales": self.space.scales,
            "num_stages": self.space.num_stages,
            "configs": self.configs,
        }

    @classmethod
    def from_config(cls, config):
        space = SpatialSpace(config["scales"], config["num_stages"])
        return cls(space, config["configs"])


@keras.saving.register_keras_serializable(package="keras_resizable")
class SwitchingSampler:
    """Draws from one sampler, and from a step on from another.

    The training step is not traced again. Two uses:

    - Scheduled switching (Resizable Neural Networks, section 3.4): `FairSampler`,
      then a `FixedSampler` of the target alone. Batch normalisation of other scale
      factors stays as it is.
    - Delayed shrinking (DepS, 2024, https://arxiv.org/abs/2407.06167): a
      `FixedSampler` of the largest, then `FairSampler`, with the callback
      `StartFromLargest`.

    Args:
        sampler: The sampler to start with, of those in this module.
        then: The sampler to go on with, of the same space.
        step: The first optimizer step that draws from the second.

    Raises:
        ValueError: If the spaces differ.
    """

    def __init__(self, sampler: "Sampler", then: "Sampler", step: int) -> None:
        self.sampler = sampler
        self.then = then
        self.space: SpatialSpace = sampler.space
        self.step = int(step)
        if then.space != self.space:
            raise ValueError(
                f"Both samplers need the same space. Received: {sampler} and {then}"
            )

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        plan = tf.cond(
            tf.convert_to_tensor(step) < self.step,
            lambda: tf.cast(self.sampler(step), tf.int32),
            lambda: tf.cast(self.then(step), tf.int32),
        )
        return tf.ensure_shape(plan, (None, self.space.num_stages))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "sampler": serialize(self.sampler),
            "then": serialize(self.then),
            "step": self.step,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        samplers = {name: deserialize(config[name]) for name in ("sampler", "then")}
        return cls(**samplers, step=config["step"])


# Those of this module, which know their space.
Sampler = _Sampler | FixedSampler | SwitchingSampler


def _check_draws(num_draws, least):
    if not isinstance(num_draws, int) or num_draws < least:
        raise ValueError(
            f"`num_draws` must be an integer of at least {least}. "
            f"Received: num_draws={num_draws!r}"
        )
    return num_draws
