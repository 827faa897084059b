import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resizable.layers import ChannelShuffle


def test_interleaves_groups():
    inputs = np.arange(2 * 3 * 2 * 6).reshape(2, 3, 2, 6)
    outputs = ChannelShuffle(2)(inputs)
    np.testing.assert_array_equal(outputs, inputs[..., [0, 3, 1, 4, 2, 5]])


def test_any_size_in_one_graph():
    layer = ChannelShuffle(3)
    model = keras.Sequential([keras.Input((None, None, 6)), layer])
    assert model.output_shape == (None, None, None, 6)
    for size in (1, 4):
        inputs = tf.random.normal((2, size, size + 1, 6))
        np.testing.assert_array_equal(model(inputs), layer(inputs))


def test_bad_groups_are_named():
    with pytest.raises(ValueError, match="groups=0"):
        ChannelShuffle(0)
    with pytest.raises(ValueError, match="5 channels into 2 groups"):
        ChannelShuffle(2).build((None, 4, 4, 5))


def test_config_round_trip():
    layer = ChannelShuffle(2, name="shuffle")
    assert ChannelShuffle.from_config(layer.get_config()).groups == 2
