"""Training in phases: other sub-networks early than late; see front.py.

A phase is a sampler and its share of the FLOPs. One learning rate schedule goes over
all phases.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

import keras_resizable
from keras_resizable.samplers import FairSampler, Sampler
from keras_resizable.subnetworks.parts import norms_by_stage

NUM_PLANS = 300  # Number of plans to average the cost of a phase over.


@dataclasses.dataclass(frozen=True)
class Phase:
    """Args:
    sampler: Draws the plans of this phase.
    share: The share of the FLOPs of the training.
    """

    sampler: Sampler
    share: float


class FairOfSmaller(FairSampler):
    """Fair plans of all scale factors but the largest."""

    @property
    def length(self):
        return None if self._space is None else len(self.space.scales) - 1

    def __call__(self, step):
        shape = (self.length, self.space.num_stages)
        return 1 + tf.argsort(self._random(step, shape), axis=0, stable=True)


class LargestAndOneOfFair(FairSampler):
    """The largest sub-network and the first row of a fair plan."""

    @property
    def length(self):
        return 2

    def __call__(self, step):
        return tf.concat(
            [tf.constant([self.space.largest.indices]), super().__call__(step)[:1]], 0
        )


class Phases(Sampler):
    """Draws from the sampler of each phase in turn.

    Args:
        phases: The phases.
        ends: The step that follows each phase.
    """

    def __init__(self, phases: Sequence[Phase], ends: Sequence[int]):
        self.samplers = [phase.sampler for phase in phases]
        self.ends = list(ends)

    def for_space(self, space):
        copy = super().for_space(space)
        copy.samplers = [sampler.for_space(space) for sampler in self.samplers]
        return copy

    def __call__(self, step):
        number = tf.reduce_sum(
            tf.cast(tf.constant(self.ends[:-1]) <= int32(step), "int32")
        )
        plan = tf.switch_case(
            number,
            [lambda s=s: tf.cast(s(step), tf.int32) for s in self.samplers],
        )
        return tf.ensure_shape(plan, (None, self.space.num_stages))


def int32(step):
    return tf.cast(step, tf.int32)


def cost(sampler, network):
    """Mean FLOPs of an image, each seen by one sub-network of a plan."""
    plans = [sampler.for_space(network.space)(n).numpy() for n in range(NUM_PLANS)]
    configs = [network.space.from_indices(row) for plan in plans for row in plan]
    unique = sorted(set(configs))
    flops = dict(zip(unique, keras_resizable.count_flops_of_configs(network, unique)))
    return float(np.mean([flops[config] for config in configs]))


def ends_of(phases, network, images):
    """The step that follows each phase; `images(flops)` is the number of steps."""
    steps = [images(phase.share, cost(phase.sampler, network)) for phase in phases]
    return [round(end) for end in np.cumsum(steps)]


class CopyRows(keras.callbacks.Callback):
    """At a step, gives the largest scale factor the row of the next smaller one."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            for _, layer in norms_by_stage(self.model.parts):
                if layer.num_scales > 1:
                    layer.set_row_weights(layer.get_row_weights(1), [0])
