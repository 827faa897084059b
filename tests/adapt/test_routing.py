import keras
import numpy as np
import pytest
import tensorflow as tf
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
    assert adapt.choose_candidates(SAMPLES, FLOPS, "target", count=2) == [
        "small",
        "target",
    ]
    assert adapt.choose_candidates(SAMPLES, FLOPS, "target", count=3) == [
        "small",
        "middle",
        "target",
    ]
    with pytest.raises(ValueError, match="4 sub-networks.*target.*Received: 5"):
        adapt.choose_candidates(SAMPLES, FLOPS, "target", count=5)


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


def routes_by(probabilities, bias):
    return np.argmax(np.log(probabilities.astype(np.float32) + 1e-9) + bias, axis=1)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(1.0, 1e9), min_size=2, max_size=4, unique=True),
    st.floats(0, 1),
)
def test_budgets_are_kept_and_spent(seed, flops, part):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(len(flops)), 50)
    budget = min(flops) + part * (max(flops) - min(flops))
    bias = budget_bias(probabilities, flops, budget)
    routes = routes_by(probabilities, bias)
    assert np.take(flops, routes).mean() <= budget * (1 + 1e-6)
    # A price is one for all images, and a little less of it would cost too much.
    costs = np.asarray(flops) - min(flops)
    price = -bias[np.argmax(flops)] / costs.max()
    if np.ptp(flops) > 1e-3 * max(flops) and abs(price * costs.max()) < 900:
        lower = -(price * costs.max() - 0.01) * costs / costs.max()
        more = np.take(flops, routes_by(probabilities, lower)).mean()
        spent = np.take(flops, routes).mean()
        assert more > budget or more == spent
    with pytest.raises(ValueError, match="cheapest route"):
        budget_bias(probabilities, flops, 0.9 * min(flops))


def test_a_budget_for_half_of_the_images_is_spent_on_them():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(2), 1000)
    bias = budget_bias(probabilities, [1.0, 3.0], 2.0)
    dear = routes_by(probabilities, bias) == 1
    assert dear.mean() == pytest.approx(0.5, abs=0.002)
    # It goes to those that the router would send there first.
    assert probabilities[dear, 1].min() >= probabilities[~dear, 1].max()
    assert routes_by(probabilities, budget_bias(probabilities, [1, 3], 3)).all()


@pytest.fixture
def adaptive(make_network, randomize):
    network = make_network()
    randomize(network)
    return adapt.AdaptiveNetwork(network, [(0.5, 0.5), (0.75, 0.5), (1.0, 1.0)])


def results_of(adaptive, labelled, **kwargs):
    """What the candidates, each by itself, do on some images."""
    images, labels = labelled
    network = adaptive.network
    outputs = [network(images, config=config) for config in adaptive.candidates]
    right = np.argmax(outputs, axis=-1) == labels
    names = tuple(map(str, adaptive.candidates))
    return search.SampleResults(names, right, np.zeros(right.shape), **kwargs)


def test_trade_off_is_what_the_network_does(adaptive, batch):
    images = batch[0]
    router = adaptive.router()
    probabilities = router.predict(images, verbose=0)
    samples = results_of(adaptive, batch)
    swept = adapt.trade_off(
        probabilities, probabilities, samples.right, adaptive.route_flops, num_budgets=4
    )
    budgets = np.linspace(min(adaptive.route_flops), max(adaptive.route_flops), 4)
    taken = []
    for budget, promised in zip(budgets, swept, strict=True):
        adaptive.set_budget(probabilities, budget)
        done = adapt.evaluate(adaptive, batch)
        np.testing.assert_array_equal(done.routes, promised.routes)
        np.testing.assert_array_equal(done.right, promised.right)
        assert done.mean_flops == promised.mean_flops <= budget
        taken.append(tuple(done.routes))
    assert len(set(taken)) > 1 and set(taken[0]) == {0}
    with pytest.raises(ValueError, match=r"\(3, 8\) and \(7, 3\)"):
        adapt.trade_off(probabilities[:7], probabilities, samples.right, [1, 2, 4])


def test_results_of_other_images_are_refused(adaptive, batch, tmp_path):
    images, labels = batch
    network = adaptive.network
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    search.build_table(
        network, data, adaptive.candidates, folder=tmp_path, verbose=False
    )
    samples = search.load_samples(tmp_path / search.SAMPLES)
    router = adapt.fit_router(adaptive, data, samples, epochs=1)
    assert router.output_shape == (None, 3)
    others = tf.data.Dataset.from_tensor_slices((images[::-1], labels)).batch(4)
    for other in (others, data.take(1), data.concatenate(data)):
        with pytest.raises(ValueError, match="8 images, are not of these images"):
            adapt.fit_router(adaptive, other, samples)
    # Results that do not know what they are of.
    unknown = results_of(adaptive, (images, labels))
    with pytest.raises(ValueError, match="are of 8 images, and the data set has 4"):
        adapt.fit_router(adaptive, data.take(1), unknown)
    with pytest.raises(ValueError, match="no results of the sub-network '1.0,1.0'"):
        adapt.fit_router(adaptive, data, unknown.only(unknown.configs[:2]))
    table = search.read_table(tmp_path / search.TABLE)
    results = [adapt.evaluate(adaptive, data)]
    assert len(adapt.trade_off_table(results, table, samples)) == 1
    with pytest.raises(ValueError, match="not of the images that the table"):
        adapt.trade_off_table([adapt.evaluate(adaptive, others)], table, samples)


def test_targets_are_learned(adaptive, batch):
    """Each image's target is in its first pixel, which a router can see."""
    images = np.zeros((60, 12, 12, 2), np.float32)
    targets = np.arange(60) % 3
    images += (targets - 1.0)[:, None, None, None]
    right = np.array([targets == 0, targets <= 1, targets >= 0])
    names = tuple(map(str, adaptive.candidates))
    samples = search.SampleResults(names, right, np.zeros(right.shape))
    router = adapt.fit_router(
        adaptive, (images, targets), samples, epochs=60, learning_rate=0.03
    )
    learned = np.argmax(router.predict(images, verbose=0), axis=1)
    assert np.mean(learned == targets) > 0.9
