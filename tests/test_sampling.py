import collections
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network
from row_weights import row_weights

from keras_resizable import (
    FairSampler,
    FixedSampler,
    PiecewiseSampler,
    SandwichSampler,
    SpatialSpace,
    UniformSampler,
    samplers,
)
from keras_resizable.subnetworks.parts import norms_by_stage
from keras_resizable.training import checks
from keras_resizable.training.plans import draw_plan

MAKE_NETWORK = small_network

SPACE = SpatialSpace((1.0, 0.75, 0.5), 2)


def plans(sampler, steps):
    draw = tf.function(sampler.for_space(SPACE))
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
    drawn = plans(FairSampler(), 200)
    assert drawn.shape == (200, 3, 2)
    np.testing.assert_array_equal(
        np.sort(drawn, axis=1), np.broadcast_to([[0, 0], [1, 1], [2, 2]], (200, 3, 2))
    )


def test_fair_plans_are_uniform():
    drawn = plans(FairSampler(), 1000)
    counts = collections.Counter(tuple(plan.ravel()) for plan in drawn)
    assert chi_square(counts, 36) < critical_value(35)


def test_uniform_draws_are_uniform():
    drawn = plans(UniformSampler(num_draws=4), 1000)
    assert drawn.shape == (1000, 4, 2)
    counts = collections.Counter(map(tuple, drawn.reshape(-1, 2)))
    assert chi_square(counts, 9) < critical_value(8)
    pairs = collections.Counter(tuple(plan[:2].ravel()) for plan in drawn)
    assert chi_square(pairs, 81) < critical_value(80)


@pytest.mark.parametrize("kind", [FairSampler, UniformSampler])
def test_plans_depend_on_seed_and_step_alone(kind):
    first = plans(kind(seed=3), 20)
    np.testing.assert_array_equal(first, plans(kind(seed=3), 20))
    assert not np.array_equal(first, plans(kind(seed=4), 20))
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(first))


def test_replicas_draw_the_same_plan(strategy):
    sampler = FairSampler().for_space(SPACE)
    step = tf.constant(5, tf.int64)
    drawn = tf.function(lambda: strategy.run(sampler, (step,)))()
    for plan in strategy.experimental_local_results(drawn):
        np.testing.assert_array_equal(plan, sampler(step))


def test_sandwich_plans_have_both_ends_and_uniform_draws():
    drawn = plans(SandwichSampler(num_draws=2), 500)
    np.testing.assert_array_equal(drawn[:, 0], np.zeros((500, 2)))
    np.testing.assert_array_equal(drawn[:, 1], np.full((500, 2), 2))
    counts = collections.Counter(map(tuple, drawn[:, 2:].reshape(-1, 2)))
    assert chi_square(counts, 9) < critical_value(8)


def test_fixed_plan():
    sampler = FixedSampler([(1.0, 0.5), "0.75"]).for_space(SPACE)
    np.testing.assert_array_equal(sampler(tf.constant(7)), [[0, 2], [1, 0]])


@pytest.mark.parametrize(
    "sampler",
    [
        FairSampler(seed=5),
        UniformSampler(seed=6, num_draws=2),
        SandwichSampler(seed=7, num_draws=3),
        FixedSampler([(0.5, 0.5)]),
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
        UniformSampler(num_draws=0)
    with pytest.raises(ValueError, match="at least 0.*num_draws=-1"):
        SandwichSampler(num_draws=-1)
    with pytest.raises(ValueError, match="0.6 of stage 2"):
        FixedSampler([(0.5, 0.6)]).for_space(SPACE)
    for seed in ("a", None, 1.5, SPACE):
        with pytest.raises(ValueError, match="`seed` must be an integer. Received"):
            FairSampler(seed)
    with pytest.raises(ValueError, match=r"FairSampler\(seed=2\) does not know"):
        FairSampler(2)(0)


@pytest.mark.parametrize(
    ("sampler", "length", "has_largest"),
    [
        (FairSampler(), 3, False),
        (UniformSampler(num_draws=4), 4, False),
        (SandwichSampler(num_draws=0), 2, True),
        (FixedSampler(["0.5", "1.0"]), 2, True),
        (FixedSampler(["0.5"]), 1, False),
        (PiecewiseSampler([5], ["sandwich", FixedSampler(["1.0"])]), None, True),
        (PiecewiseSampler([5], ["fair", UniformSampler(num_draws=3)]), 3, False),
    ],
)
def test_samplers_say_what_their_plans_are_like(sampler, length, has_largest):
    bound = sampler.for_space(SPACE)
    assert (bound.length, bound.always_has_largest) == (length, has_largest)
    drawn = bound(tf.constant(3, tf.int64))
    assert drawn.shape == (length or 3, 2)
    assert (checks.step_without_largest(bound) is None) == has_largest


def test_names_are_taken_for_samplers():
    assert repr(samplers.get("uniform")) == "UniformSampler(seed=0, num_draws=1)"
    for bad in ("fare", FairSampler, 3):
        with pytest.raises(ValueError, match="one of 'fair', 'uniform', 'sandwich'"):
            samplers.get(bad)


def test_switching_trains_one_configuration_from_a_step_on():
    fair = FairSampler(seed=3).for_space(SPACE)
    sampler = PiecewiseSampler([2], [fair, FixedSampler([(0.75, 0.5)])])
    config = keras.saving.serialize_keras_object(sampler)
    for one in (sampler, keras.saving.deserialize_keras_object(config)):
        draw = tf.function(one.for_space(SPACE))
        for step in range(4):
            expected = fair(step) if step < 2 else [[1, 2]]
            np.testing.assert_array_equal(draw(tf.constant(step, tf.int64)), expected)


def test_switching_takes_no_new_trace(make_network, batch):
    network = make_network()
    traces = []
    target = FixedSampler([(0.5, 0.75)])
    sampler = PiecewiseSampler([2], ["fair", target]).for_space(network.space)

    def traced(step):
        traces.append(step)
        return sampler(step)

    network.compile("sgd", "sparse_categorical_crossentropy", sampler=traced)
    for steps in range(2):
        network.fit(*batch, batch_size=4, verbose=0)
        tables = [row_weights(norm) for _, norm in norms_by_stage(network.parts)]
        if steps == 0:
            before = tables
    assert len(traces) == 1
    used = [{0: 2, 1: 1}[stage] for stage, _ in norms_by_stage(network.parts)]
    for old, new, row in zip(before, tables, used):
        changed = (old != new).any(axis=2)
        assert changed[row].all() and changed.sum() == len(changed[row])


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        ([[1.0, 0.5]], "`space.config.scale_factors..indices` has them. .*float32"),
        ([[True, False]], "integers of shape .*Received bool"),
        (
            np.zeros((0, 2), np.int32),
            "scale indices, integers.*Received int32 of shape",
        ),
        ([[0, 1, 1]], r"\(sub-networks, 2\).*Received int32 of shape \(1, 3\)"),
        ([0, 1], "Received int32 of shape"),
    ],
)
def test_plans_are_scale_indices(plan, error):
    """Scale factors would be taken for others."""
    with pytest.raises(ValueError, match=error):
        draw_plan(lambda step: plan, SPACE, tf.constant(0))


@pytest.mark.parametrize("plan", [[[0, 3]], [[0, -1]]])
def test_scale_indices_that_are_none_stop_a_step(plan):
    draw = tf.function(lambda step: draw_plan(lambda _: step + plan, SPACE, step))
    with pytest.raises(tf.errors.InvalidArgumentError, match="are from 0 to 2, but"):
        draw(tf.constant(0))


def test_samplers_get_a_tensor(make_network, batch):
    """Which all of TensorFlow takes."""

    def draw(step):
        assert step.dtype == tf.int64
        return tf.random.stateless_uniform((1, 2), [0, step], 0, 3, tf.int32)

    network = make_network()
    network.compile("sgd", "sparse_categorical_crossentropy", sampler=draw)
    network.fit(*batch, verbose=0)


def test_the_steps_of_an_update_train_the_same(make_network, batch):
    """As gradients of several steps are added up for it."""
    steps = []

    def draw(step):
        steps.append(int(step))
        return [[0, 0]]

    network = make_network()
    network.compile(
        keras.optimizers.SGD(gradient_accumulation_steps=2),
        "sparse_categorical_crossentropy",
        sampler=draw,
        run_eagerly=True,
    )
    network.fit(*batch, batch_size=2, verbose=0)
    assert steps == [0, 0, 1, 1]


def test_a_fair_plan_of_some_scale_factors():
    sampler = FairSampler(seed=1, scales=(0.75, 0.5)).for_space(SPACE)
    assert sampler.length == 2
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(sampler)
    ).for_space(SPACE)
    seen = set()
    for step in range(20):
        plan = sampler(tf.constant(step, tf.int64)).numpy()
        np.testing.assert_array_equal(np.sort(plan, axis=0), [[1, 1], [2, 2]])
        np.testing.assert_array_equal(again(tf.constant(step, tf.int64)), plan)
        seen.add(tuple(plan.flat))
    assert len(seen) == 4  # Every combination.
    for scales in ((), (0.6,)):
        with pytest.raises(ValueError, match=r"some of .* \[1.0, 0.75, 0.5\]"):
            FairSampler(scales=scales).for_space(SPACE)


def test_boundaries_of_samplers_increase():
    fair = FairSampler()
    piecewise = PiecewiseSampler([2, 4], [fair, "uniform", fair]).for_space(SPACE)
    assert [len(piecewise(step)) for step in range(6)] == [3, 3, 1, 1, 3, 3]
    for boundaries, given in (
        ([4, 2], [fair] * 3),
        ([2, 2], [fair] * 3),
        ([2], [fair]),
        ([2], [fair, lambda step: [[0, 0]]]),
    ):
        with pytest.raises(
            ValueError, match="increasing boundaries, and one `Sampler`"
        ):
            PiecewiseSampler(boundaries, given)
    with pytest.raises(ValueError, match="boundaries"):
        PiecewiseSampler([0], [fair, fair])
