import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resizable import adapt, search
from keras_resizable.adapt.adaptive_network import budget_bias

FLOPS = {"small": 10, "middle": 20, "other": 25, "target": 40, "huge": 80}
RIGHT = np.array(
    [
        [1, 1, 0, 0, 0, 0],
        [1, 0, 1, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
    ],
    bool,
)
SAMPLES = search.SampleResults(tuple(FLOPS), RIGHT, np.zeros((5, 6), np.float16))


def test_candidates_complement_the_target():
    assert adapt.choose_candidates(SAMPLES, FLOPS, "target", 2) == ["small", "target"]
    assert adapt.choose_candidates(SAMPLES, FLOPS, "target", 3) == [
        "small",
        "middle",
        "target",
    ]
    with pytest.raises(ValueError, match="4 sub-networks.*target.*Received: 5"):
        adapt.choose_candidates(SAMPLES, FLOPS, "target", 5)


def test_targets_are_the_cheapest_that_is_right():
    np.testing.assert_array_equal(
        adapt.routing_targets(RIGHT[[0, 1, 3]]), [0, 0, 1, 2, 2, 2]
    )


def test_loss_is_cross_entropy_and_expected_flops():
    probabilities = np.array([[0.5, 0.25, 0.25]], np.float32)
    loss = adapt.RoutingLoss([10, 20, 40], flops_weight=2.0)
    expected = -np.log(0.25) + 2 * (0.5 * 0.25 + 0.25 * 0.5 + 0.25)
    assert float(loss(np.array([1]), probabilities)) == pytest.approx(
        expected, rel=1e-5
    )
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss)
    )
    assert float(copy(np.array([1]), probabilities)) == pytest.approx(
        expected, rel=1e-5
    )


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(1.0, 1e9), min_size=2, max_size=4, unique=True),
    st.floats(0, 1),
)
def test_budgets_are_kept(seed, flops, part):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(len(flops)), 50)
    budget = min(flops) + part * (max(flops) - min(flops))
    bias = budget_bias(probabilities, flops, budget)
    routes = np.argmax(np.log(probabilities.astype(np.float32) + 1e-9) + bias, axis=1)
    assert np.take(flops, routes).mean() <= budget * (1 + 1e-6)
    with pytest.raises(ValueError, match="cheapest route"):
        budget_bias(probabilities, flops, 0.9 * min(flops))


def test_trade_off_is_what_the_network_does():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(3), 6)
    rights = RIGHT[[0, 1, 3]]
    cheap, dear = adapt.trade_off(probabilities, probabilities, rights, [1, 2, 4], 2)
    assert cheap.mean_flops == 1 and cheap.top1 == rights[0].mean()
    np.testing.assert_array_equal(cheap.shares, [1, 0, 0])
    assert 1 < dear.mean_flops <= 4
