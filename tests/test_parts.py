"""The parts of a network, and what they say of themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from narrow_networks import NARROW
from odd_networks import norm_stage, stem_of, tiny_network

from keras_resizable import count_flops
from keras_resizable.layers import HasStockForm


@pytest.mark.parametrize("name", NARROW)
def test_parts_run_count_and_cut_themselves_out(name, randomize):
    network = NARROW[name](
        scales=(1.0, 0.7), input_shape=(43, 37, 3), classes=4, name="narrow"
    )
    randomize(network)
    stages = [part.stage for part in network.parts]
    assert stages == [None, *range(network.space.num_stages), None]
    config = network.space.config("0.7,1.0,0.7")
    features = np.random.default_rng(0).random((2, 43, 37, 3), np.float32)
    expected = network(features, config=config)
    shape, flops = features.shape, 0
    for part in network.parts:
        index = part.scale_index_in(config)
        inputs = keras.Input(features.shape[1:])
        alone = keras.Model(inputs, part.cut_out(inputs, index))
        counted, shape = part.count_flops(shape, index)
        assert counted == count_flops(alone)
        flops += counted
        cut = alone(features, training=False)
        features = part.run(features, tf.constant(index), training=False)
        assert shape[1:] == features.shape[1:]
        np.testing.assert_allclose(cut, features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(features, expected, atol=1e-6)
    assert flops == count_flops(network.sub_network(config, check_statistics=False))


def test_a_layer_of_the_users_own_says_what_it_is_when_cut_out():
    """What makes the layers of this library known to cutting out and counting."""

    class Marked(HasStockForm, keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

        def stock_form(self, scale_index, name):
            return keras.layers.Rescaling(2.0, name=name)

    network = tiny_network(stem_of(Marked(name="mark")), [norm_stage()])
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    model = network.sub_network("0.5")
    assert type(model.get_layer("mark")) is keras.layers.Rescaling
    np.testing.assert_allclose(
        model(images), network(images, config="0.5"), rtol=1e-5, atol=1e-6
    )
