"""Networks that choose a sub-network for each image, by confidence or by a router."""

import json
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from conftest import small_network
from hypothesis import given
from hypothesis import strategies as st

import keras_resizable
from keras_resizable import adapt, export, search
from keras_resizable.adapt.cascade import _threshold
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.search.table import ImageResults
from keras_resizable.subnetworks.calibration import batch_norms
from keras_resizable.subnetworks.pieces import pieces_of_configs
from keras_resizable.utils.digests import digest_of_data

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))
import cascade as cascade_example  # noqa: E402

MAKE_NETWORK = small_network

CANDIDATES = ["0.5,0.5", "1.0,0.5", "1.0,1.0"]


class Fixed(keras.layers.Layer):
    """A router that sends image after image to the next candidate."""

    def call(self, features):
        numbers = tf.range(tf.shape(features)[0]) % len(CANDIDATES)
        return tf.one_hot(numbers, len(CANDIDATES))


@pytest.fixture
def network(make_network, randomize):
    network = make_network()
    randomize(network)
    return network


def make_router(network):
    (pieces,) = pieces_of_configs(network, CANDIDATES[:1])
    features = keras.Input(pieces[-1].input_shape)
    learner = keras.Model(features, Fixed()(features))
    return adapt.AdaptiveNetwork(network, CANDIDATES, learner)


def make_cascade(network):
    return adapt.Cascade(network, CANDIDATES, thresholds=[0.5, 0.7])


@pytest.fixture(params=[make_router, make_cascade])
def adaptive(request, network):
    return request.param(network)


def confidence_of(network, images, config):
    return network(images, config=config).numpy().max(axis=1)


def images_of_all_routes(network, images):
    """Images of which each candidate of the cascade answers some."""
    images = np.concatenate([images * scale for scale in (0.1, 1, 5, 20, -20)])
    first, second = (confidence_of(network, images, c) for c in CANDIDATES[:2])
    return images, np.where(first >= 0.5, 0, np.where(second >= 0.7, 1, 2))


def cut_out_answers(network, images, dataset=None):
    """What the sub-networks themselves answer, `(candidates, images, classes)`."""
    return np.array(
        [network.sub_network(c, calibrate_with=dataset)(images) for c in CANDIDATES]
    )


@pytest.mark.parametrize("calibrated", [False, True])
def test_each_image_gets_the_answer_of_its_sub_network(
    adaptive, network, batch, tf_dataset, calibrated
):
    dataset = tf_dataset if calibrated else None
    if calibrated:
        adaptive.calibrate(tf_dataset)
    images, _ = images_of_all_routes(network, batch[0])
    outputs, routes = adaptive.run(tf.constant(images))
    expected = cut_out_answers(network, images, dataset)
    expected = expected[routes.numpy(), np.arange(len(images))]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    predicted = adaptive.predict(images, batch_size=len(images), verbose=0)
    np.testing.assert_allclose(predicted, outputs, atol=1e-6)


def test_a_cascade_goes_on_where_it_is_not_confident(network, batch):
    images, expected = images_of_all_routes(network, batch[0])
    assert len(set(expected)) >= 2
    _, routes = make_cascade(network).run(tf.constant(images))
    np.testing.assert_array_equal(routes, expected)
    for threshold, route in ((0.0, 0), (2.0, 1)):
        one = adapt.Cascade(network, CANDIDATES[1:], [threshold])
        assert set(one.run(tf.constant(images))[1].numpy()) == {route}


def flops_of(network, config, first=0):
    (pieces,) = pieces_of_configs(network, [config])
    return sum(piece.flops for piece in pieces[first:])


def test_flops_count_what_is_shared_once(network):
    # The second begins anew after the stem, the third after the first stage.
    steps = [flops_of(network, c, n) for c, n in zip(CANDIDATES, (0, 1, 2))]
    assert make_cascade(network).route_flops == np.cumsum(steps).tolist()
    router = adapt.AdaptiveNetwork(network, CANDIDATES)
    before = flops_of(network, CANDIDATES[0])
    before += keras_resizable.count_flops(router.learner)
    further = [0, *(flops_of(network, c, 1) for c in CANDIDATES[1:])]
    assert router.route_flops == [before + flops for flops in further]


def test_keras_round_trip(adaptive, network, batch, tf_dataset, tmp_path):
    adaptive.calibrate(tf_dataset)
    adaptive.save(tmp_path / "adaptive.keras")
    with keras.saving.custom_object_scope({"Fixed": Fixed}):
        copy = keras.saving.load_model(tmp_path / "adaptive.keras")
    assert copy.candidates == adaptive.candidates
    assert copy.route_flops == adaptive.route_flops
    for one, other in zip(adaptive.run(batch[0]), copy.run(batch[0])):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_keras_offers_and_what_it_has_no_place_in(
    adaptive, network, batch, tmp_path
):
    assert adaptive.input_shape == (None, *batch[0].shape[1:])
    assert adaptive.output_shape == network.output_shape
    results = adapt.evaluate(adaptive, batch)
    flops = [adaptive.route_flops[route] for route in results.routes]
    assert results.mean_flops == np.mean(flops)
    adaptive.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.serve(batch[0]), adaptive(batch[0]), atol=1e-6)
    for call in (
        lambda: export.to_tflite(adaptive, tmp_path / "a.tflite"),
        lambda: export.to_saved_model(adaptive, tmp_path / "saved"),
        lambda: evaluate_model(adaptive, batch, "adaptive"),
        lambda: keras_resizable.calibrate(adaptive, batch[0]),
    ):
        with pytest.raises(ValueError, match="are unknown.*adapt.to_tflite"):
            call()


def test_only_the_learner_is_trained(network, batch, tf_dataset):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES)
    adaptive.calibrate(tf_dataset)
    table = search.build_table(network, tf_dataset, CANDIDATES, verbose=False)
    origin = {"data": digest_of_data(tf_dataset)}
    table = search.Table(table.to_frame(), table.results, origin)
    before = [v.numpy() for v in adaptive.variables]
    learned = {id(v) for v in adaptive.learner.variables}
    router = adapt.fit_router(adaptive, tf_dataset, table, epochs=2)
    for variable, old in zip(adaptive.variables, before):
        changed = not np.array_equal(variable, old)
        assert changed == (id(variable) in learned), variable.path
    probabilities = router.predict(batch[0], verbose=0)
    routes = adaptive.run(tf.constant(batch[0]))[1]
    np.testing.assert_array_equal(routes, np.argmax(probabilities, axis=1))
    assert not any(norm.trainable for norm in batch_norms(router))
    others = tf_dataset.map(lambda images, labels: (images[::-1], labels))
    with pytest.raises(ValueError, match="for the same images in the same order"):
        adapt.fit_router(adaptive, others, table)
    with pytest.raises(ValueError, match="no row for '1.0,1.0'"):
        adapt.fit_router(adaptive, tf_dataset, table.only(CANDIDATES[:2]))


def table_of(configs, right, confidence):
    configs = list(configs)
    results = dict(zip(configs, map(ImageResults, right, confidence)))
    return search.Table(pandas.DataFrame({"config": configs}), results)


def test_targets_are_learned(network):
    """Each image's target is in its first pixel, which a router can see."""
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES)
    images = np.zeros((60, 12, 12, 2), np.float32)
    targets = np.arange(60) % 3
    images += (targets - 1.0)[:, None, None, None]
    right = np.array([targets == 0, targets <= 1, targets >= 0])
    table = table_of(map(str, adaptive.candidates), right, np.zeros(right.shape))
    router = adapt.fit_router(
        adaptive, (images, targets), table, epochs=60, learning_rate=0.03
    )
    learned = np.argmax(router.predict(images, verbose=0), axis=1)
    assert np.mean(learned == targets) > 0.9


@given(st.lists(st.floats(0.125, 1.0, width=16), min_size=2), st.floats(0, 1))
def test_a_threshold_keeps_a_share(confidence, share):
    confidence = np.array(confidence, np.float32)
    below = (confidence < _threshold(confidence, share)).mean()
    assert below <= share
    if len(set(confidence.tolist())) == len(confidence):
        assert below > share - 1 / len(confidence) - 1e-9


def test_the_best_cascade_within_a_budget_is_chosen(network, batch):
    """Of all pairs, each with the highest threshold within the budget."""
    generator = np.random.default_rng(0)
    configs = ["0.5,0.5", "0.75,0.5", "1.0,0.5", "1.0,1.0"]
    right = generator.random((4, 200)) < np.array([[0.5], [0.6], [0.65], [0.8]])
    confidence = generator.random((4, 200)).astype(np.float16)
    table = table_of(configs, right, confidence)
    costs = {config: flops_of(network, config) for config in configs}
    budget = 0.6 * max(costs.values()) + 0.4 * min(costs.values())
    chosen = adapt.Cascade.choose(network, table, budget)
    best = 0.0
    for first in range(4):
        for second in range(first + 1, 4):
            cascade = adapt.Cascade(network, [configs[first], configs[second]], [0.5])
            for threshold in sorted([2.0, *confidence[first] + 1e-4], reverse=True):
                more = confidence[first] < threshold
                flops = np.take(cascade.route_flops, more.astype(int)).mean()
                if flops <= budget:
                    best = max(best, np.where(more, right[second], right[first]).mean())
                    break
    numbers = [configs.index(str(config)) for config in chosen.candidates]
    more = confidence[numbers[0]] < chosen.thresholds[0]
    assert np.take(chosen.route_flops, more.astype(int)).mean() <= budget
    top1 = np.where(more, right[numbers[1]], right[numbers[0]]).mean()
    assert top1 >= best - 1 / 200
    with pytest.raises(ValueError, match="cheapest sub-network takes.*FLOPs"):
        adapt.Cascade.choose(network, table, 0.9 * min(costs.values()))


def test_files_route_as_keras(network, batch, tf_dataset, tmp_path):
    adaptive = adapt.AdaptiveNetwork(network, CANDIDATES)
    path = tmp_path / "adaptive.tflite"
    adapt.to_tflite(adaptive, path, calibrate_with=tf_dataset, quantize="none")
    signatures = export.read_metadata(path)["signatures"]
    routes = signatures["router"]["routes"]
    outputs, expected = adaptive.run(batch[0])
    scores = export.run_tflite(path, batch[0], "router")
    np.testing.assert_array_equal(np.argmax(scores, axis=1), expected)
    for number, route in enumerate(expected.numpy()):
        answer = export.run_tflite(path, batch[0][number : number + 1], routes[route])
        np.testing.assert_allclose(answer[0], outputs[number], atol=1e-4)


def test_int8_stores_weights_once(network, tf_dataset, tmp_path):
    adaptive = make_cascade(network)
    path = tmp_path / "adaptive.tflite"
    adapt.to_tflite(adaptive, path, calibrate_with=tf_dataset)
    alone = [
        export.to_tflite(
            adaptive.sub_network(config),
            tmp_path / "alone.tflite",
            "int8",
            calibrate_with=tf_dataset,
        ).size_bytes
        for config in adaptive.candidates
    ]
    assert path.stat().st_size < 0.9 * sum(alone)


@pytest.fixture(scope="module")
def photo_cascade(tmp_path_factory):
    """A cascade for photos, its file, and photos of which each route has some."""
    folder = tmp_path_factory.mktemp("photos")
    network = keras_resizable.ResNet20((1.0, 0.5), width=0.25, classes=3)
    generator = np.random.default_rng(0)
    paths = []
    for number in range(12):
        pixels = generator.integers(0, 256, (32, 32, 3), np.uint8)
        paths.append(folder / f"{number}.png")
        keras.utils.save_img(paths[-1], pixels // (1 + number % 4), scale=False)
    load, to_array = keras.utils.load_img, keras.utils.img_to_array
    images = np.array([to_array(load(path)) for path in paths]) / 127.5 - 1
    configs = ["0.5,0.5,0.5", "1.0"]
    middle = np.median(confidence_of(network, images, configs[0]))
    cascade = adapt.Cascade(network, configs, [float(middle)])
    path = folder / "cascade.tflite"
    adapt.to_tflite(
        cascade,
        path,
        calibrate_with=images,
        quantize="none",
        labels=["a", "b", "c"],
        input_range=(-1.0, 1.0),
    )
    return cascade, path, paths, images


def test_the_example_answers_as_the_cascade(photo_cascade):
    cascade, path, paths, images = photo_cascade
    outputs, routes = cascade.run(tf.constant(images))
    example = cascade_example.Cascade(path)
    assert len(set(routes.numpy())) == 2
    for photo, expected, route in zip(paths, outputs.numpy(), routes.numpy()):
        scores, number = example.scores(photo)
        assert number == route
        np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.skipif(shutil.which("node") is None, reason="There is no Node.js.")
def test_the_example_for_browsers_does_too(photo_cascade):
    cascade, path, paths, images = photo_cascade
    _, routes = cascade.run(tf.constant(images))
    answers = [
        cascade.sub_network(c)(images).numpy().tolist() for c in cascade.candidates
    ]
    program = f"""
    import {{cascade}} from {json.dumps((EXAMPLES / "cascade.js").as_uri())};
    const answers = {json.dumps(answers)};
    const taken = [];
    for (let image = 0; image < {len(images)}; image++) {{
      const {{number}} = await cascade((n) => answers[n][image], {cascade.thresholds});
      taken.push(number);
    }}
    console.log(JSON.stringify(taken));
    """
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == routes.numpy().tolist()


def test_bad_arguments_are_named(network):
    with pytest.raises(ValueError, match="0.6 of stage"):
        adapt.AdaptiveNetwork(network, [(0.6, 1.0), (1.0, 1.0)])
    with pytest.raises(ValueError, match="2 sub-networks have 1 thresholds"):
        adapt.Cascade(network, CANDIDATES[:2], [0.5, 0.6])
