import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from odd_networks import stage_of, tiny_network

from keras_resizable import count_flops, count_flops_of_configs
from keras_resizable.search import build_table


def profiled_flops(model):
    """Multiply-adds of convolutions and dense layers by TensorFlow's profiler."""
    spec = tf.TensorSpec((1, *model.input_shape[1:]))
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        spec
    )
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    options["account_type_regexes"] = ["Conv2D", "DepthwiseConv2dNative", "MatMul"]
    options["output"] = "none"
    profile = profiler.profile(function.graph, cmd="op", options=options)
    assert profile.total_float_ops % 2 == 0
    return profile.total_float_ops // 2


def model_of(*stack, shape=(9, 11, 4)):
    inputs = outputs = keras.Input(shape)
    for layer in stack:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    "model",
    [
        lambda: model_of(layers.Conv2D(6, 3, padding="same")),
        lambda: model_of(layers.Conv2D(6, (3, 1), strides=2)),
        lambda: model_of(layers.DepthwiseConv2D(3, depth_multiplier=2)),
        lambda: model_of(layers.SeparableConv2D(6, 3, strides=2, padding="same")),
        lambda: model_of(layers.Flatten(), layers.Dense(7)),
        lambda: model_of(model_of(layers.Conv2D(4, 3), layers.BatchNormalization())),
        lambda: model_of(keras.Sequential([layers.Conv2D(4, 3), layers.ReLU()])),
    ],
)
def test_is_what_the_profiler_counts(model):
    model = model()
    assert count_flops(model) == profiled_flops(model) > 0


@pytest.mark.parametrize(
    ("model", "flops"),
    [
        # Output positions x filters x kernel x channels of a group.
        (lambda: model_of(layers.Conv2D(6, 3, groups=2)), 7 * 9 * 6 * 9 * 2),
        (lambda: model_of(layers.Conv2D(6, 3, dilation_rate=2)), 5 * 7 * 6 * 9 * 4),
        # Input positions x filters x kernel x channels.
        (lambda: model_of(layers.Conv2DTranspose(6, 3)), 9 * 11 * 6 * 9 * 4),
        (lambda: model_of(layers.Dense(7)), 9 * 11 * 4 * 7),
        (lambda: model_of(layers.Conv1D(6, 3), shape=(9, 4)), 7 * 6 * 3 * 4),
        (lambda: model_of(layers.BatchNormalization(), layers.ReLU()), 0),
    ],
)
def test_is_the_formula_where_the_profiler_errs(model, flops):
    assert count_flops(model()) == flops


def test_a_shared_layer_counts_for_every_call():
    convolution = layers.Conv2D(4, 3, padding="same")
    assert count_flops(model_of(convolution, convolution)) == 2 * 9 * 11 * 4 * 9 * 4


def test_a_nested_model_counts_at_its_own_size():
    inner = model_of(layers.Conv2D(4, 1), shape=(None, None, 4))
    assert count_flops(model_of(layers.MaxPooling2D(2), inner)) == 4 * 5 * 4 * 4


def test_whole_network_is_what_the_profiler_counts(make_network):
    model = make_network().sub_network((0.75, 0.5))
    assert count_flops(model) == profiled_flops(model)


def test_configs_count_as_the_sub_networks_they_cut_out(make_network):
    network = make_network(input_shape=(13, 17, 2))
    configs = list(network.space.configs())
    assert count_flops_of_configs(network, configs) == [
        count_flops(network.sub_network(config)) for config in configs
    ]


def test_counting_leaves_the_model_as_it_was(make_network):
    model = make_network().sub_network((0.75, 0.5))
    config, weights = model.get_config(), model.get_weights()
    count_flops(model)
    assert model.get_config() == config
    for old, new in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_what_cannot_be_counted_is_named():
    attention = layers.MultiHeadAttention(2, 2, name="attention")
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, attention(inputs, inputs))
    with pytest.warns(UserWarning, match="'attention', a MultiHeadAttention"):
        count_flops(model)
    with pytest.raises(ValueError, match=r"\(None, 9, 4\).*fixed `input_shape`"):
        count_flops(model_of(layers.Conv2D(4, 3), shape=(None, 9, 4)))


class Scale(layers.Layer):
    """As ConvNeXt's LayerScale: weights of one axis."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],))

    def call(self, x):
        return x * self.gamma


class OwnConvolution(layers.Layer):
    """A kernel at each position of the output."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 5))

    def call(self, x):
        return tf.nn.conv2d(x, self.kernel, 1, "SAME")


class Block(layers.Layer):
    """Layers of its own, and a product."""

    def build(self, shape):
        self.conv = layers.DepthwiseConv2D(3, padding="same")
        self.conv.build(shape)
        self.table = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, x):
        return self.conv(x) @ self.table


class Attention(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, x):
        return tf.einsum("bhwc,cd->bhwd", x, self.table)


def test_layers_that_are_not_known():
    assert count_flops(model_of(Scale())) == 0
    assert count_flops(model_of(OwnConvolution())) == 9 * 11 * 9 * 4 * 5
    assert count_flops(model_of(Block())) == 9 * 11 * (9 * 4 + 4 * 4)
    model = model_of(layers.Conv2D(4, 1), Attention(name="mine"))
    with pytest.warns(UserWarning, match="'mine', a Attention, are not known"):
        assert count_flops(model) == 9 * 11 * 16


def test_a_table_names_an_unknown_layer_once():
    network = tiny_network(stages=[stage_of(lambda x, i: Attention(name="mine")(x))])
    data = np.zeros((4, 8, 8, 3), np.float32), np.zeros(4, int)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        table = build_table(network, data, verbose=False)
    assert len(table) == 2 and table.to_frame()["flops"].min() > 0
    assert ["'mine'" in str(warning.message) for warning in caught] == [True]


def test_what_is_no_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="'own.*' are unknown.*functional"):
        count_flops(Own())
