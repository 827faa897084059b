"""Training at factors between the scale factors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network

from keras_resizable import FairSampler, FixedSampler, IntervalSampler, SwitchingSampler
from keras_resizable.layers import StageResize
from keras_resizable.training.sampling import Sampler

MAKE_NETWORK = small_network
SCALES = (1.0, 0.75, 0.5)


def trained(make_network, batch, sampler):
    keras.utils.set_random_seed(0)
    network = make_network()
    network.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", sampler=sampler
    )
    network.fit(*batch, batch_size=8, epochs=3, shuffle=False, verbose=0)
    return network


def test_factors_are_those_nearest_to_the_plans(make_network):
    space = make_network().space
    sampler = IntervalSampler(seed=3).for_space(space)
    fair = FairSampler(seed=3).for_space(space)
    drawn = []
    for step in range(50):
        plan = sampler(step)
        np.testing.assert_array_equal(plan, fair(step))
        factors = sampler.factors(step, plan).numpy()
        np.testing.assert_array_equal(factors, sampler.factors(step, plan))
        distances = np.abs(factors[..., None] - np.array(SCALES))
        np.testing.assert_array_equal(distances.argmin(-1), plan)
        drawn.append(factors)
    drawn = np.array(drawn)
    assert 0.5 <= drawn.min() < 0.52 and 0.98 < drawn.max() <= 1.0
    assert len(np.unique(drawn)) == drawn.size


class Given(Sampler):
    """A fair plan, resized by given factors."""

    def __init__(self, table):
        self.table = table

    def __call__(self, step):
        return FairSampler().for_space(self.space)(step)

    def factors(self, step, plan):
        return tf.gather(self.table, plan)


@pytest.mark.parametrize("table", [SCALES, (np.nan, 0.75, np.nan)])
def test_the_factors_of_the_plan_change_nothing(make_network, batch, table):
    table = tf.constant(table, tf.float32)
    networks = [
        trained(make_network, batch, sampler) for sampler in ("fair", Given(table))
    ]
    for one, other in zip(*(network.get_weights() for network in networks)):
        np.testing.assert_array_equal(one, other)


def test_other_factors_are_other_sizes_in_one_graph(make_network, batch, monkeypatch):
    sizes, traces = set(), []
    resize = StageResize.call

    def noting(self, inputs, scale_index):
        traces.append(self.name)
        outputs = resize(self, inputs, scale_index)
        note = tf.py_function(
            lambda size: sizes.add(tuple(size.numpy())), [tf.shape(outputs)[1:3]], []
        )
        with tf.control_dependencies([note] if note is not None else []):
            return tf.identity(outputs)

    monkeypatch.setattr(StageResize, "call", noting)
    network = make_network()
    network.compile("sgd", "sparse_categorical_crossentropy", sampler="interval")
    traces.clear()
    network.fit(*batch, batch_size=8, verbose=0)
    once = len(traces)
    network.fit(*batch, batch_size=8, epochs=12, verbose=0)
    assert len(traces) == once
    listed = {(12, 12), (9, 9), (6, 6), (5, 5), (3, 3)}
    assert len(sizes - listed) >= 3
    assert not network.statistics.untrained().any()


def test_it_switches(make_network, batch):
    """To the target's own size, as it is cut out."""
    space = make_network().space
    target = FixedSampler(["0.5"])
    sampler = SwitchingSampler("interval", target, 5).for_space(space)
    before, after = (sampler.factors(step, sampler(step)) for step in (4, 5))
    assert np.isfinite(before).all() and np.isnan(after).all()
    plain = SwitchingSampler("fair", target, 5).for_space(space)
    assert plain.factors(0, plain(0)) is None
    trained(make_network, batch, SwitchingSampler("interval", target, 2))
