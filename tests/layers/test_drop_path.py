import numpy as np
import pytest
import tensorflow as tf

from keras_resizable import FixedSampler
from keras_resizable.layers import DropPath
from keras_resizable.layers.context import run_with


def test_drops_images_of_the_largest_in_training_only():
    layer = DropPath(0.25, seed=0)
    ones = tf.ones((400, 2, 2, 3))
    with run_with(is_largest=tf.constant(True)):
        np.testing.assert_array_equal(layer(ones, training=False), ones)
        dropped = layer(ones, training=True).numpy()
    images = dropped.reshape(400, -1)
    assert np.all(np.ptp(images, axis=1) == 0)
    np.testing.assert_allclose(np.unique(images), [0, 1 / 0.75], rtol=1e-6)
    assert np.mean(images == 0) == pytest.approx(0.25, abs=0.07)
    with run_with(is_largest=tf.constant(False)):
        np.testing.assert_array_equal(layer(ones, training=True), ones)
    np.testing.assert_array_equal(layer(ones, training=True), ones)


def test_round_trip():
    copy = DropPath.from_config(DropPath(0.5, seed=3).get_config())
    assert (copy.rate, copy.seed, copy.noise_shape) == (0.5, 3, (None, 1, 1, 1))


@pytest.mark.parametrize("config", [(1.0, 1.0), (1.0, 0.5)])
def test_training_drops_in_the_largest_sub_network_only(make_network, batch, config):
    losses = []
    values = {weight.path: weight.numpy() for weight in make_network().weights}
    for rate in (0.0, 0.9):
        network = make_network(drop_path=rate)
        for weight in network.weights:
            weight.assign(values[weight.path])
        network.compile(
            "sgd",
            "sparse_categorical_crossentropy",
            sampler=FixedSampler([config]),
        )
        losses.append(network.train_on_batch(*batch))
    assert (losses[0] == losses[1]) == (config != (1.0, 1.0))


def test_cut_out_has_none_of_it(make_network, batch):
    network = make_network(drop_path=0.5)
    sub_network = network.sub_network((0.5, 1.0))
    assert not any(isinstance(layer, DropPath) for layer in sub_network.layers)
    np.testing.assert_allclose(
        sub_network(batch[0]), network(batch[0], config=(0.5, 1.0)), atol=1e-5
    )


def test_bad_rates_are_named(make_network):
    with pytest.raises(ValueError, match="drop_path=1.0"):
        make_network(drop_path=1.0)
