"""Batch statistics are those of all images, however they come."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from keras_resizable import adapt, calibrate, load_network, search
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.subnetworks.calibration import batch_norms
from keras_resizable.subnetworks.prefix_tree import PrefixTree
from keras_resizable.utils import batches

MAKE_NETWORK = small_network


def bright_last(count=33):
    """Images of noise, and a last one that is far from all others."""
    images = np.random.default_rng(0).normal(0, 1, (count, 12, 12, 2))
    images[-1] += 40
    return images.astype(np.float32)


def in_batches(images, sizes):
    """A data set of batches of these sizes."""
    parts = np.split(images, np.cumsum(sizes)[:-1])
    return tf.data.Dataset.from_generator(
        lambda: iter(parts), output_signature=tf.TensorSpec((None, *images.shape[1:]))
    )


def by_calibrate(network, dataset):
    norm = batch_norms(network.sub_network((0.5, 0.5), calibrate_with=dataset))
    first = next(layer for layer in norm if layer.name == "conv1_bn")
    return first.moving_mean.numpy(), first.moving_variance.numpy()


def by_tree(network, dataset):
    tree = PrefixTree(network, [(0.5, 0.5), (1.0, 0.5)])
    statistics, seen = tree.statistics(), 0
    for images in dataset:
        statistics = tree.calibrate(images, statistics, seen)
        seen += len(images)
    return [np.asarray(row) for row in tree._levels[0].rows(statistics[(0,)])]


def by_adaptive(network, dataset):
    adaptive = adapt.AdaptiveNetwork(network, [(0.5, 0.5), (1.0, 1.0)])
    adaptive.calibrate(dataset)
    first = next(n for n in batch_norms(adaptive.router()) if n.name == "conv1_bn")
    return first.moving_mean.numpy(), first.moving_variance.numpy()


@pytest.mark.parametrize("estimate", [by_calibrate, by_tree, by_adaptive])
def test_a_small_last_batch_and_the_order_change_nothing(make_network, estimate):
    network = make_network()
    images = bright_last()
    features = network.stem.get_layer("conv1_conv")(images)
    expected = np.mean(features, (0, 1, 2)), np.var(features, (0, 1, 2))
    for sizes in ([33], [32, 1], [11, 11, 11]):
        for got, right in zip(estimate(network, in_batches(images, sizes)), expected):
            np.testing.assert_allclose(got, right, rtol=1e-3)
    by_brightness = images[np.argsort(images.mean((1, 2, 3)))]
    for got, right in zip(
        estimate(network, in_batches(by_brightness, [32, 1])), expected
    ):
        np.testing.assert_allclose(got, right, rtol=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**16))
def test_any_batches_give_the_statistics_of_all_images(sizes, seed):
    generator = np.random.default_rng(seed)
    images = generator.normal(generator.normal(), 2, (sum(sizes), 2, 3, 1))
    images = images.astype(np.float32)
    model = keras.Sequential([keras.Input((2, 3, 1)), layers.BatchNormalization()])
    calibrate(model, in_batches(images, sizes))
    (norm,) = model.layers
    np.testing.assert_allclose(norm.moving_mean, [images.mean()], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, [images.var()], rtol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_calibration_recovers_from_any_statistics(make_network, batch, value):
    network = make_network()
    expected = network.sub_network((0.5, 0.5), calibrate_with=batch[0])(batch[0])
    for norm in batch_norms(network):
        for table in (norm.moving_mean, norm.moving_variance):
            table.assign(tf.fill(table.shape, value))
    model = network.sub_network((0.5, 0.5), calibrate_with=batch[0])
    np.testing.assert_allclose(model(batch[0]), expected, rtol=1e-5)
    table = search.build_table(
        network, batch, [(0.5, 0.5)], calibrate_with=batch[0], verbose=False
    )
    assert np.isfinite(table["0.5,0.5"]["loss"])


def test_calibration_recovers_where_nothing_comes_in():
    """Of channels that are always zero, the statistics are zero too."""
    model = keras.Sequential([keras.Input((4, 4, 2)), layers.BatchNormalization()])
    images = np.zeros((3, 4, 4, 2), np.float32)
    for mean, variance in ((np.nan, np.nan), (np.nan, 0.0), (0.0, np.inf)):
        model.layers[0].moving_mean.assign([mean] * 2)
        model.layers[0].moving_variance.assign([variance] * 2)
        calibrate(model, images)
        np.testing.assert_array_equal(model.layers[0].moving_mean, [0, 0])
        np.testing.assert_array_equal(model.layers[0].moving_variance, [0, 0])


def test_statistics_of_nan_are_not_hidden_where_nothing_is_calibrated(make_network):
    network = make_network()
    images = np.random.default_rng(0).random((1, 12, 12, 2), np.float32)
    before = network(images, config=(0.5, 0.5))
    for norm in batch_norms(network):
        norm.moving_mean.assign(tf.fill(norm.moving_mean.shape, np.nan))
    tree = PrefixTree(network, [(0.5, 0.5)])
    statistics = tree.statistics()
    assert np.isnan(statistics[(0,)]).any()
    ((_, outputs),) = tree.outputs(images, statistics)
    # Not NaN everywhere: on some processors a ReLU in a graph makes zeros of it.
    assert not np.allclose(outputs, before)


class Block(layers.Layer):
    """A block as people write them: a layer that holds layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = [layers.Conv2D(3, 1), layers.BatchNormalization()]

    def call(self, x, training=None):
        for step in self.steps:
            x = step(x, training=training) if step is self.steps[1] else step(x)
        return x


def test_batch_normalisation_inside_layers_is_estimated():
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.BatchNormalization()])
    model = keras.Sequential([keras.Input((4, 4, 2)), Block(), inner])
    images = 5 + np.random.default_rng(0).random((12, 4, 4, 2), np.float32)
    calibrate(model, in_batches(images, [8, 4]))
    block = model.layers[0]
    features = np.asarray(block.steps[0](images))
    norm = block.steps[1]
    np.testing.assert_allclose(norm.moving_mean, features.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, features.var((0, 1, 2)), rtol=1e-3)
    assert norm.momentum == 0.99
    assert not np.array_equal(inner.layers[0].moving_mean, np.zeros(3))


def test_nothing_but_batch_statistics_changes():
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.Dropout(0.5), layers.BatchNormalization()]
    )
    before = [variable.numpy() for variable in model.variables]
    calibrate(model, np.ones((3, 4, 4, 2), np.float32))
    for variable, old in zip(model.variables, before):
        changed = not np.array_equal(variable, old)
        assert changed == ("moving" in variable.path), variable.path


def test_what_fails_midway_leaves_the_model_as_it_was():
    model = keras.Sequential([keras.Input((4, 4, 2)), layers.BatchNormalization()])

    def images():
        yield np.ones((3, 4, 4, 2), np.float32)
        raise RuntimeError("the disk is gone")

    spec = tf.TensorSpec((None, 4, 4, 2))
    dataset = tf.data.Dataset.from_generator(images, output_signature=spec)
    with pytest.raises(tf.errors.OpError):
        calibrate(model, dataset)
    np.testing.assert_array_equal(model.layers[0].moving_mean, [0, 0])


def test_arrays_and_data_sets_give_the_same(make_network, batch):
    images = batch[0]
    network = make_network()
    dataset = tf.data.Dataset.from_tensors(images)
    expected = network.sub_network((0.5,), calibrate_with=dataset)(images)
    for given_images in (images, tf.constant(images), images.astype(np.float64)):
        model = network.sub_network((0.5,), calibrate_with=given_images)
        np.testing.assert_allclose(model(images), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([np.zeros((2, 12, 12, 2))], "an array.*Received: list"),
        (iter([1]), "Received: list_iterator"),
        (np.zeros((2, 12, 12)), r"\(None, 12, 12, 2\).*\(None, 12, 12\)"),
        (np.zeros((2, 9, 12, 2)), r"\(None, 12, 12, 2\).*\(None, 9, 12, 2\)"),
        (np.zeros((0, 12, 12, 2)), "no batch"),
        (tf.data.Dataset.from_tensors({"x": 1}), "of {'x': 'int32"),
        (tf.data.Dataset.from_tensors(np.zeros((2, 12, 12, 2))).repeat(), "never ends"),
    ],
    ids=["list", "iterator", "rank", "size", "empty", "dict", "endless"],
)
def test_what_is_no_data_set_is_refused_by_all_readers(make_network, bad, message):
    network = make_network()
    adaptive = adapt.AdaptiveNetwork(network, [(0.5, 0.5), (1.0, 1.0)])
    readers = [
        lambda: calibrate(network, bad),
        lambda: network.sub_network((0.5,), calibrate_with=bad),
        lambda: search.build_table(
            network, (np.zeros((2, 12, 12, 2)), np.zeros(2, int)), calibrate_with=bad
        ),
        lambda: adaptive.calibrate(bad),
    ]
    for read in readers:
        with pytest.raises(ValueError, match=message):
            read()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, 12, 12, 2)), "images and labels|without labels"),
        ((np.zeros((2, 12, 12, 2)), np.zeros(3)), r"lengths \[2, 3\]"),
        ((np.zeros((2, 12, 12, 2)), np.array(["a", "b"])), "labels, integer.*string"),
        ((np.zeros((2, 12, 12, 2)), np.zeros((2, 1, 1))), "labels, integer"),
    ],
    ids=["unlabelled", "lengths", "text", "rank"],
)
def test_what_is_not_labelled_is_refused_by_all_readers(make_network, bad, message):
    network = make_network()
    adaptive = adapt.AdaptiveNetwork(network, [(0.5, 0.5), (1.0, 1.0)])
    for read in (
        lambda: search.build_table(network, bad),
        lambda: evaluate_model(network.sub_network((0.5,)), bad, "name"),
        lambda: adapt.evaluate(adaptive, bad),
    ):
        with pytest.raises(ValueError, match=message):
            read()


def test_endless_data_is_refused_where_it_is_evaluated(make_network, batch):
    network = make_network()
    endless = tf.data.Dataset.from_tensors(batch).repeat()
    adaptive = adapt.AdaptiveNetwork(network, [(0.5, 0.5), (1.0, 1.0)])
    for read in (
        lambda: search.build_table(network, endless),
        lambda: evaluate_model(network.sub_network((0.5,)), endless, "name"),
        lambda: adapt.evaluate(adaptive, endless),
    ):
        with pytest.raises(ValueError, match="never ends"):
            read()


def test_as_many_batches_as_asked_for():
    """Of an array, which is shuffled, as of a data set."""
    images = np.arange(80, dtype=np.float32)[:, None, None, None] * np.ones((2, 2, 1))
    images = images.astype(np.float32)
    means = []
    for data in (images, tf.data.Dataset.from_tensor_slices(images).batch(32).repeat()):
        model = keras.Sequential([keras.layers.BatchNormalization()])
        model.build((None, 2, 2, 1))
        calibrate(model, data, steps=1)
        means.append(float(model.layers[0].moving_mean[0]))
    assert means[1] == pytest.approx(images[:32].mean())
    of_32 = 32 * means[0]  # Each image is a whole number.
    assert of_32 == pytest.approx(round(of_32), abs=1e-3) and means[0] != means[1]
    for data in (images, tf.data.Dataset.from_tensor_slices(images).batch(32)):
        with pytest.raises(ValueError, match="`steps` must be .* Received: steps="):
            calibrate(model, data, steps=0)


def of_class(labels):
    """Images whose brightness is their class."""
    noise = np.random.default_rng(0).normal(0, 1, (len(labels), 12, 12, 2))
    return (noise + 3 * labels[:, None, None, None]).astype(np.float32)


@pytest.mark.parametrize("kind", ["integers", "one-hot", "column"])
def test_images_that_are_sorted_by_class_are_told(make_network, kind):
    labels = np.repeat(np.arange(3), 40)
    targets = {
        "integers": labels,
        "one-hot": np.eye(3, dtype=np.float32)[labels],
        "column": labels[:, None],
    }[kind]
    whole = tf.data.Dataset.from_tensor_slices((of_class(labels), targets))
    network = make_network()
    with pytest.warns(UserWarning, match="`dataset` are sorted by class"):
        calibrate(network.sub_network("0.5"), whole.batch(20))
    with pytest.warns(UserWarning, match="`dataset` are all of one class"):
        calibrate(network.sub_network("0.5"), whole.take(40).batch(20))
    data = next(iter(whole.batch(120)))
    for options in (
        {"calibrate_with": whole.batch(20)},
        {"calibrate_with": whole.batch(20), "raw": False},
    ):
        with pytest.warns(UserWarning, match="`calibrate_with` are sorted by class"):
            search.build_table(
                network, (data[0], labels), ["0.5"], verbose=False, **options
            )
    shuffled = whole.shuffle(120, seed=0).batch(20)
    calibrate(network.sub_network("0.5"), shuffled)  # Without a warning.


def test_arrays_are_shuffled(make_network):
    labels = np.repeat(np.arange(3), 64)
    images = of_class(labels)
    order = np.random.default_rng(0).permutation(len(images))
    network = make_network()
    one, other = (
        network.sub_network("0.5", calibrate_with=array)
        for array in (images, images[order])
    )
    for a, b in zip(batch_norms(one), batch_norms(other)):
        # Sorted, deeper statistics would be of batches of one class.
        np.testing.assert_allclose(a.moving_variance, b.moving_variance, rtol=0.5)


def test_data_without_an_end_is_told(make_network, monkeypatch, caplog):
    caplog.set_level("INFO", "keras_resizable")
    monkeypatch.setattr(batches, "_BATCHES_TO_TELL", 2)
    monkeypatch.setattr(batches, "_BATCHES_TO_WARN", 4)
    dataset = in_batches(bright_last(), [7] * 4 + [5])
    model = make_network().sub_network("0.5")
    with pytest.warns(UserWarning, match="has yielded 4 batches, of an unknown number"):
        calibrate(model, dataset)
    assert "2 batches of `dataset` read so far" in caplog.text
    caplog.clear()
    known = dataset.apply(tf.data.experimental.assert_cardinality(5))
    calibrate(model, known)
    assert not caplog.records


def test_full_size_is_estimated_once_and_then_few_images_do(make_network, tmp_path):
    network = make_network()
    images = np.random.default_rng(0).normal(2, 3, (256, 12, 12, 2))
    images = images.astype(np.float32)
    expected = network.sub_network("1.0", calibrate_with=images)
    smaller = network.sub_network("0.5", calibrate_with=images)
    network.calibrate_full_size(images)
    network.save(tmp_path / "network.keras")
    network = load_network(tmp_path / "network.keras")
    for few in (images[:4], images[:16] * 0.7, 0 * images[:4] + 3):
        full = network.sub_network("1.0", calibrate_with=few)
        np.testing.assert_allclose(full(images), expected(images), atol=1e-5)
    same = network.sub_network("0.5", calibrate_with=images)
    np.testing.assert_allclose(same(images), smaller(images), atol=1e-5)

    def error(few):
        made = network.sub_network("0.5", calibrate_with=few)
        return np.abs(made(images) - smaller(images)).mean()

    def error_of_estimates(few):
        made = network.sub_network("0.5", check_statistics=False)
        calibrate(made, few)
        return np.abs(made(images) - smaller(images)).mean()

    darker = images[:16] * 0.7
    assert error(darker) < error_of_estimates(darker) / 2
    with pytest.raises(ValueError, match="never saw a batch"):
        network.sub_network("0.5")
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(images[:32], np.zeros(32), verbose=0)
    assert not network.has_full_size_statistics


def test_full_size_is_the_scale_factor_of_1():
    network = MAKE_NETWORK(scales=(0.75, 0.5))
    with pytest.raises(ValueError, match=r"only \(0.75, 0.5\)"):
        network.calibrate_full_size(np.zeros((4, 12, 12, 2)))
