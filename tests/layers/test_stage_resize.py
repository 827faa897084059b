import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resizable import StageResize
from keras_resizable.space import resized

SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.55, 0.333)


@pytest.fixture(scope="module")
def resize_by_tensor():
    layer = StageResize(SCALES)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, None)),
            tf.TensorSpec((), tf.int32),
        ]
    )
    def resize(inputs, scale_index):
        assert tf.get_static_value(scale_index) is None
        return layer(inputs, scale_index)

    return resize


def test_sizes_agree_in_python_and_in_graphs(resize_by_tensor):
    for size in range(1, 130):
        inputs = tf.zeros((1, size, 2, 1))
        for index, scale in enumerate(SCALES):
            shape = resize_by_tensor(inputs, tf.constant(index)).shape
            assert shape[1:3] == (resized(size, scale), resized(2, scale))


@pytest.mark.parametrize("index", range(len(SCALES)))
def test_is_bilinear_resize_with_constant_and_variable_index(resize_by_tensor, index):
    inputs = tf.random.normal((2, 13, 9, 3))
    size = [resized(length, SCALES[index]) for length in (13, 9)]
    expected = tf.image.resize(inputs, size, "bilinear", antialias=False)
    constant = StageResize(SCALES)(inputs, tf.constant(index))
    np.testing.assert_array_equal(constant, expected)
    variable = resize_by_tensor(inputs, tf.constant(index))
    np.testing.assert_array_equal(variable, expected)


def test_scale_of_one_copies_nothing():
    inputs = tf.zeros((1, 4, 4, 1))
    assert StageResize((1.0, 0.5)).call(inputs, tf.constant(0)) is inputs


def test_constant_index_gives_static_shapes():
    layer = StageResize((1.0, 0.7))

    @tf.function
    def static_shape(inputs):
        shapes.append(layer(inputs, tf.constant(1)).shape)

    shapes = []
    static_shape(tf.zeros((2, 45, 10, 3)))
    assert shapes == [(2, 32, 7, 3)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_keeps_the_dtype(dtype, resize_by_tensor):
    layer = StageResize((1.0, 0.5), dtype=dtype)
    inputs = tf.cast(tf.random.normal((1, 6, 6, 1)), dtype)
    for index in (0, 1):
        outputs = layer(inputs, tf.constant(index))
        assert outputs.dtype == dtype
        dynamic = tf.function(layer)(inputs, tf.Variable(index))
        np.testing.assert_array_equal(dynamic, outputs)


def test_config_round_trip():
    layer = StageResize([0.5, 1.0], name="resize0")
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert copy.scales == (1.0, 0.5)
    assert copy.name == "resize0"


def test_bad_scales_are_refused():
    with pytest.raises(ValueError, match="2.0"):
        StageResize([1.0, 2.0])
