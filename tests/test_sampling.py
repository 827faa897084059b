import collections
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from row_weights import row_weights

from keras_resizable import (
    FairSampler,
    FixedSampler,
    SandwichSampler,
    SpatialSpace,
    SwitchingSampler,
    UniformSampler,
)
from keras_resizable.parts import norms_by_stage

SPACE = SpatialSpace((1.0, 0.75, 0.5), 2)


def plans(sampler, steps):
    draw = tf.function(sampler)
    return np.stack([draw(tf.constant(step, tf.int64)) for step in range(steps)])


def chi_square(counts, cells):
    expected = sum(counts.values()) / cells
    seen = sum((count - expected) ** 2 / expected for count in counts.values())
    return seen + (cells - len(counts)) * expected


def critical_value(freedom):
    """The 99.9 % quantile of chi-square (Wilson and Hilferty, 1931)."""
    term = 2 / (9 * freedom)
    return freedom * (1 - term + 3.09 * term**0.5) ** 3


def test_fair_plans_train_every_scale_of_every_stage_once():
    drawn = plans(FairSampler(SPACE), 200)
    assert drawn.shape == (200, 3, 2)
    np.testing.assert_array_equal(
        np.sort(drawn, axis=1), np.broadcast_to([[0, 0], [1, 1], [2, 2]], (200, 3, 2))
    )


def test_fair_plans_are_uniform():
    drawn = plans(FairSampler(SPACE), 1000)
    counts = collections.Counter(tuple(plan.ravel()) for plan in drawn)
    assert chi_square(counts, 36) < critical_value(35)


def test_uniform_draws_are_uniform():
    drawn = plans(UniformSampler(SPACE, num_draws=4), 1000)
    assert drawn.shape == (1000, 4, 2)
    counts = collections.Counter(map(tuple, drawn.reshape(-1, 2)))
    assert chi_square(counts, 9) < critical_value(8)
    pairs = collections.Counter(tuple(plan[:2].ravel()) for plan in drawn)
    assert chi_square(pairs, 81) < critical_value(80)


@pytest.mark.parametrize("kind", [FairSampler, UniformSampler])
def test_plans_depend_on_seed_and_step_alone(kind):
    first = plans(kind(SPACE, seed=3), 20)
    np.testing.assert_array_equal(first, plans(kind(SPACE, seed=3), 20))
    assert not np.array_equal(first, plans(kind(SPACE, seed=4), 20))
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(first))


def test_replicas_draw_the_same_plan(strategy):
    sampler = FairSampler(SPACE)
    step = tf.constant(5, tf.int64)
    drawn = tf.function(lambda: strategy.run(sampler, (step,)))()
    for plan in strategy.experimental_local_results(drawn):
        np.testing.assert_array_equal(plan, sampler(step))


def test_sandwich_plans_have_both_ends_and_uniform_draws():
    drawn = plans(SandwichSampler(SPACE, num_draws=2), 500)
    np.testing.assert_array_equal(drawn[:, 0], np.zeros((500, 2)))
    np.testing.assert_array_equal(drawn[:, 1], np.full((500, 2), 2))
    counts = collections.Counter(map(tuple, drawn[:, 2:].reshape(-1, 2)))
    assert chi_square(counts, 9) < critical_value(8)


def test_fixed_plan():
    sampler = FixedSampler(SPACE, [(1.0, 0.5), (0.75,)])
    np.testing.assert_array_equal(sampler(tf.constant(7)), [[0, 2], [1, 0]])


@pytest.mark.parametrize(
    "sampler",
    [
        FairSampler(SPACE, seed=5),
        UniformSampler(SPACE, seed=6, num_draws=2),
        SandwichSampler(SPACE, seed=7, num_draws=3),
        FixedSampler(SPACE, [(0.5, 0.5)]),
    ],
)
def test_config_round_trip(sampler):
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(sampler)
    )
    assert type(copy) is type(sampler)
    np.testing.assert_array_equal(plans(copy, 3), plans(sampler, 3))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="num_draws=0"):
        UniformSampler(SPACE, num_draws=0)
    with pytest.raises(ValueError, match="at least 0.*num_draws=-1"):
        SandwichSampler(SPACE, num_draws=-1)
    with pytest.raises(ValueError, match="at least one"):
        FixedSampler(SPACE, [])
    with pytest.raises(ValueError, match="0.6 of stage 1"):
        FixedSampler(SPACE, [(0.5, 0.6)])


def test_switching_trains_one_configuration_from_a_step_on():
    fair = FairSampler(SPACE, seed=3)
    sampler = SwitchingSampler(fair, FixedSampler(SPACE, [(0.75, 0.5)]), step=2)
    config = keras.saving.serialize_keras_object(sampler)
    for one in (sampler, keras.saving.deserialize_keras_object(config)):
        draw = tf.function(one)
        for step in range(4):
            expected = fair(step) if step < 2 else [[1, 2]]
            np.testing.assert_array_equal(draw(tf.constant(step, tf.int64)), expected)
    with pytest.raises(ValueError, match=r"same space.*\(1.0, 0.5\)"):
        SwitchingSampler(fair, FairSampler(SpatialSpace((1.0, 0.5), 2)), step=2)


def test_switching_takes_no_new_trace(make_network, batch):
    network = make_network()
    traces = []
    space = network.space
    target = FixedSampler(space, [(0.5, 0.75)])
    sampler = SwitchingSampler(FairSampler(space), target, step=2)

    def traced(step):
        traces.append(step)
        return sampler(step)

    network.compile("sgd", "sparse_categorical_crossentropy", sampler=traced)
    for steps in range(2):
        network.fit(*batch, batch_size=4, verbose=0)
        tables = [row_weights(norm) for _, norm in norms_by_stage(network)]
        if steps == 0:
            before = tables
    assert len(traces) == 1
    used = [{0: 2, 1: 1}[stage] for stage, _ in norms_by_stage(network)]
    for old, new, row in zip(before, tables, used):
        changed = (old != new).any(axis=2)
        assert changed[row].all() and changed.sum() == len(changed[row])
