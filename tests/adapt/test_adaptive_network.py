import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network

import keras_resizable
from keras_resizable import adapt, export, search
from keras_resizable.calibration import batch_norms
from keras_resizable.pieces import pieces_of_configs

MAKE_NETWORK = small_network

CANDIDATES = [(1.0, 1.0), (1.0, 0.5), (0.5, 0.75)]


class Fixed(keras.layers.Layer):
    """A router that sends image after image to the next candidate."""

    def call(self, features):
        numbers = tf.range(tf.shape(features)[0]) % len(CANDIDATES)
        return tf.one_hot(numbers, len(CANDIDATES))


def fixed_learner(shape):
    features = keras.Input(shape)
    return keras.Model(features, Fixed()(features))


@pytest.fixture
def network(make_network, randomize):
    network = make_network()
    randomize(network)
    return network


def cut_out_answers(network, adaptive, images, dataset=None):
    """What the sub-networks themselves answer, `(candidates, images, classes)`."""
    return [
        network.sub_network(config, calibrate_with=dataset)(images).numpy()
        for config in adaptive.candidates
    ]


@pytest.mark.parametrize(
    ("attach", "calibrated"),
    [(0, False), (1, False), (1, True), (2, True), (None, False)],
)
def test_each_image_gets_the_answer_of_its_sub_network(
    network, batch, tf_dataset, attach, calibrated
):
    images = batch[0]
    adaptive = adapt.AdaptiveNetwork(
        network,
        CANDIDATES,
        attach,
        base=(0.5, 1.0),
        learner=fixed_learner((12, 12, 4) if attach == 0 else (3, 3, 6)),
    )
    if calibrated:
        adaptive.calibrate(tf_dataset)
    expected = cut_out_answers(
        network, adaptive, images, tf_dataset if calibrated else None
    )
    answers = adaptive.predict(images, batch_size=len(images), verbose=0)
    for number, answer in enumerate(answers):
        np.testing.assert_allclose(
            answer, expected[number % len(CANDIDATES)][number], atol=1e-5
        )


def test_groups_of_any_size(network, batch):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach=1)
    for bias, route in (([9e9, 0, 0], 0), ([0, 0, 9e9], 2)):
        adaptive.bias.assign(bias)
        outputs, routes = adaptive.run(tf.constant(batch[0][:5]))
        assert set(routes.numpy()) == {route}
        expected = network(batch[0][:5], config=adaptive.candidates[route])
        np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("attach", "base", "shared"),
    [
        (0, (0.5, 0.75), (1, 1, 1)),
        (1, (1.0, 0.5), (1, 2, 2)),
        (2, (1.0, 0.5), (1, 3, 2)),
    ],
)
def test_flops_count_everything_once(network, attach, base, shared):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach, base)
    before = keras_resizable.count_flops(adaptive.router())
    flops = dict(zip(adaptive.candidates, adaptive.route_flops))
    for config, levels in zip([(0.5, 0.75), (1.0, 0.5), (1.0, 1.0)], shared):
        (pieces,) = pieces_of_configs(network, [config])
        assert flops[config] == before + sum(piece.flops for piece in pieces[levels:])
    assert adaptive.route_flops == sorted(adaptive.route_flops)


def test_only_the_learner_is_trained(network, batch, tf_dataset):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach=1)
    adaptive.calibrate(tf_dataset)
    before = [v.numpy() for v in adaptive.variables]
    learned = {id(v) for v in adaptive.learner.variables}
    router = adaptive.router()
    images = batch[0]
    rows = [v.numpy() for norm in batch_norms(router) for v in norm.variables]
    router.compile("adam", adapt.RoutingLoss(adaptive.route_flops, 0.1))
    router.fit(images, np.arange(len(images)) % 3, epochs=2, verbose=0)
    for variable, old in zip(adaptive.variables, before):
        changed = not np.array_equal(variable, old)
        assert changed == (id(variable) in learned), variable.path
    for norm, row in zip(
        (v for n in batch_norms(router) for v in n.variables), rows, strict=True
    ):
        np.testing.assert_array_equal(norm, row)
    probabilities = router.predict(images, verbose=0)
    route = adaptive.run(tf.constant(images))[1]
    np.testing.assert_array_equal(route, np.argmax(probabilities, axis=1))
    with pytest.raises(NotImplementedError, match="fit `router"):
        adaptive.compile("sgd", "mse")
        adaptive.fit(images, images, verbose=0)


def test_keras_round_trip(network, batch, tf_dataset, tmp_path):
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.optimizer.build(network.trainable_variables)
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach=1)
    adaptive.calibrate(tf_dataset)
    adaptive.bias.assign([0.1, 0.2, -0.3])
    adaptive.save(tmp_path / "adaptive.keras")
    copy = keras.saving.load_model(tmp_path / "adaptive.keras")
    assert copy.candidates == adaptive.candidates
    assert (copy.attach, copy.base) == (adaptive.attach, adaptive.base)
    assert copy.route_flops == adaptive.route_flops
    for one, other in zip(adaptive.run(batch[0]), copy.run(batch[0])):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_saved_model(network, batch, tf_dataset, tmp_path):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach=1)
    adaptive.calibrate(tf_dataset)
    adapt.to_saved_model(adaptive, tmp_path / "adaptive")
    loaded = tf.saved_model.load(str(tmp_path / "adaptive"))
    results = loaded.signatures["serving_default"](images=tf.constant(batch[0]))
    outputs, route = adaptive.run(batch[0])
    np.testing.assert_allclose(results["outputs"], outputs, atol=1e-6)
    np.testing.assert_array_equal(results["route"], route)


def test_what_keras_offers_and_what_it_has_no_place_in(network, batch, tmp_path):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach=1)
    assert adaptive.input_shape == (None, *batch[0].shape[1:])
    assert adaptive.output_shape == network.output_shape
    adaptive.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.serve(batch[0]), adaptive(batch[0]), atol=1e-6)
    for call in (
        lambda: export.to_tflite(adaptive, tmp_path / "a.tflite"),
        lambda: export.to_saved_model(adaptive, tmp_path / "saved"),
        lambda: search.evaluate_model(adaptive, batch, "adaptive"),
        lambda: keras_resizable.calibrate(adaptive, batch[0]),
    ):
        with pytest.raises(ValueError, match="are not known.*adapt.to_saved_model"):
            call()


def test_int8_stores_weights_once(network, tf_dataset, tmp_path):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach=1)
    path = tmp_path / "adaptive.tflite"
    adapt.to_tflite(adaptive, path, calibrate_with=tf_dataset)
    routes = export.read_metadata(path)["signatures"]["router"]["routes"]
    alone = [
        export.to_tflite(
            adaptive.sub_network(config),
            tmp_path / "alone.tflite",
            "int8",
            calibrate_with=tf_dataset,
        )["size_bytes"]
        for config in adaptive.candidates
    ]
    assert len(routes) == len(alone) and path.stat().st_size < 0.9 * sum(alone)


def test_tflite_routes_as_keras(network, batch, tf_dataset, tmp_path):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES, attach=1)
    adaptive.calibrate(tf_dataset)
    adaptive.bias.assign([0.1, 0.0, -0.1])
    path = tmp_path / "adaptive.tflite"
    adapt.to_tflite(adaptive, path, calibrate_with=tf_dataset, quantize="none")
    routes = export.read_metadata(path)["signatures"]["router"]["routes"]
    outputs, expected = adaptive.run(batch[0])
    scores = export.run_tflite(path, batch[0], "router")
    np.testing.assert_array_equal(np.argmax(scores, axis=1), expected)
    for number, route in enumerate(expected.numpy()):
        answer = export.run_tflite(path, batch[0][number : number + 1], routes[route])
        np.testing.assert_allclose(answer[0], outputs[number], atol=1e-4)


def test_bad_arguments_are_named(network):
    with pytest.raises(ValueError, match=r"two candidates.*\[\(1.0, 1.0\)\]"):
        adapt.AdaptiveNetwork(network, [(1.0, 1.0), (1.0,)])
    with pytest.raises(ValueError, match="from 0 to 2.*attach=3"):
        adapt.AdaptiveNetwork(network, CANDIDATES, attach=3)
    with pytest.raises(ValueError, match="0.6 of stage 0"):
        adapt.AdaptiveNetwork(network, [(0.6, 1.0), (1.0, 1.0)])
    with pytest.raises(ValueError, match="chooses from 2, but there are 3"):
        learner = adapt.ResizeLearner((12, 12, 4), 2)
        adapt.AdaptiveNetwork(network, CANDIDATES, 0, learner=learner)
    with pytest.raises(ValueError, match="num_candidates=1"):
        adapt.ResizeLearner((12, 12, 4), 1)
