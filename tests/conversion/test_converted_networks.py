"""What a converted network does beyond computing: as those of this library."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import randomize_batch_norms
from foreign_models import (
    SIZE,
    blocks_that_are_layers,
    body,
    classify,
    of,
    padded,
    plain,
)
from keras import layers

import keras_resizable
from keras_resizable.adapt import AdaptiveNetwork
from keras_resizable.export import to_bundle, to_saved_model, to_tflite_files
from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.search import build_table, evaluate_model

# The layers after the resizes, and the size of the maps, by the paper's rule.
STAGES = {
    "MobileNetV2": {
        "expanded_conv_depthwise": 48,
        "block_2_expand": 24,
        "block_4_expand": 12,
        "block_7_expand": 6,
        "block_14_expand": 3,
    },
    "MobileNetV3Small": {
        "expanded_conv_2_expand": 12,
        "expanded_conv_4_expand": 6,
        "expanded_conv_9_expand": 3,
    },
    "EfficientNetB0": {
        "block1a_dwconv": 48,
        "block2b_expand_conv": 24,
        "block3b_expand_conv": 12,
        "block4b_expand_conv": 6,
        "block6b_expand_conv": 3,
    },
    "ResNet50V2": {
        f"conv{number}_block1_preact_bn": size
        for number, size in zip((2, 3, 4, 5), (24, 12, 6, 3))
    },
    "DenseNet121": {
        f"conv{number}_block1_0_bn": size
        for number, size in zip((2, 3, 4, 5), (24, 12, 6, 3))
    },
    "Xception": {"block1_conv2": 47, "block5_sepconv1_act": 6, "block14_sepconv1": 3},
    "ConvNeXtTiny": {
        f"convnext_tiny_stage_{number}_block_0_depthwise_conv": size
        for number, size in enumerate((24, 12, 6, 3))
    },
    "NASNetMobile": {},
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_where_the_paper_has_them(name):
    model = getattr(keras.applications, name)(
        input_shape=(96, 96, 3), weights=None, classes=3
    )
    points = keras_resizable.resize_points(model)
    chosen = {p.layer: p.height for p in points if p.chosen}
    assert chosen == STAGES[name]
    assert all(p.height == p.width for p in points)


def probabilities(make):
    """A model of `foreign_models`, which ends in logits, with a softmax."""
    model = make()
    return keras.Model(model.inputs, layers.Softmax()(model.outputs[0]))


@pytest.mark.parametrize("make", [padded, blocks_that_are_layers])
def test_search_export_and_routing_take_them(make, tmp_path):
    model = probabilities(make)
    randomize_batch_norms(model)
    network = keras_resizable.from_keras(model, (1.0, 0.7))
    images = np.random.default_rng(0).random((32, SIZE, SIZE, 3)).astype(np.float32)
    labels = np.arange(32) % 3
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
    table = build_table(network, dataset, calibrate_with=dataset, verbose=False)
    assert len(table) == network.space.size and table["flops"].min() > 0
    smallest = network.space.smallest
    alone = network.sub_network(smallest, calibrate_with=dataset)
    result = evaluate_model(alone, dataset, "alone")
    row = table.set_index("config").loc[str(smallest)]
    assert result.right.mean() == pytest.approx(row["top1"])
    assert keras_resizable.count_flops(alone) == row["flops"]

    configs = [network.space.largest, smallest]
    for quantize in ("none", "int8"):  # Each is checked against the super-network.
        paths = [
            path
            for _, path, _ in to_tflite_files(
                network, configs, tmp_path, quantize=quantize, calibrate_with=dataset
            )
        ]
    assert to_bundle(paths, tmp_path / "bundle.tflite")["size_bytes"] > 0
    to_saved_model(network, tmp_path / "saved", configs, calibrate_with=dataset)

    adaptive = AdaptiveNetwork(network, configs)
    assert adaptive.predict(images, verbose=0).shape == (32, 3)


def test_mixed_precision_and_any_size(batch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = plain()
    finally:
        keras.config.set_dtype_policy("float32")
    network = keras_resizable.from_keras(model, (1.0, 0.7))
    images = tf.random.uniform((2, SIZE, SIZE, 3))
    np.testing.assert_allclose(
        network(images), model(images, training=False), rtol=1e-2, atol=1e-2
    )
    assert network.stages[0].inputs[0].dtype == "float16"

    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, classify(body(inputs)))
    anywhere = keras_resizable.from_keras(model, (1.0, 0.7))
    assert anywhere.input_shape == (None, None, None, 3)
    fixed = keras_resizable.from_keras(model, (1.0, 0.7), input_shape=(40, 32, 3))
    assert fixed.input_shape == (None, 40, 32, 3)
    images = tf.random.uniform((2, 40, 32, 3))
    for network in (anywhere, fixed):
        np.testing.assert_allclose(
            network(images), model(images, training=False), atol=1e-5
        )


def test_places_can_be_given():
    model = plain()
    points = keras_resizable.resize_points(model)
    names = [point.layer for point in points]
    network = keras_resizable.from_keras(model, (1.0, 0.7), resize_before=names[2:0:-1])
    assert network.space.num_stages == 2
    outer = of(lambda x: model(layers.Rescaling(2.0)(x)))
    inside = [f"{model.name}/{names[1]}"]
    assert inside[0] in [point.layer for point in keras_resizable.resize_points(outer)]
    for given in (inside, names[1:2]):
        network = keras_resizable.from_keras(outer, (1.0, 0.7), resize_before=given)
        assert network.space.num_stages == 1


def test_one_row_and_a_name():
    network = keras_resizable.from_keras(
        plain(), (1.0, 0.7), scale_aware=False, name="mine"
    )
    norms = [layer for layer in network.stages[0].layers if "norm" in layer.name]
    assert {norm.num_scales for norm in norms} == {1}
    assert all(isinstance(norm, ScaleAwareBatchNorm) for norm in norms)
    assert network.name == "mine" and network.extra_params == 0


def test_frozen_layers_stay_frozen(batch):
    base = of(body)
    base.trainable = False
    model = of(lambda x: classify(base(x, training=False)))
    network = keras_resizable.from_keras(model, (1.0, 0.7))
    assert len(network.trainable_weights) == 2  # Of the classifier.


@keras.saving.register_keras_serializable(package="tests")
class HoldsAModel(layers.Layer):
    """Batch normalisation that no attribute leads to."""

    def build(self, shape):
        inputs = keras.Input((None, None, shape[-1]))
        self.model = keras.Model(inputs, layers.BatchNormalization()(inputs))

    def call(self, x):
        return self.model(x)


@keras.saving.register_keras_serializable(package="tests")
class TakesTwo(layers.Layer):
    """A block of two maps, with batch normalisation of one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization()

    def build(self, shapes):
        self.norm.build(shapes[0])

    def call(self, inputs):
        return self.norm(inputs[0]) + inputs[1]


def takes_two(x):
    x = body(x)
    return TakesTwo()([x, layers.Conv2D(6, 3, padding="same")(x)])


@pytest.mark.parametrize("block", [lambda x: HoldsAModel()(body(x)), takes_two])
def test_shared_rows_are_told(block):
    model = of(lambda x: classify(block(x)))
    randomize_batch_norms(model)
    with pytest.warns(UserWarning, match="All scale factors share it"):
        network = keras_resizable.from_keras(model, (1.0, 0.7))
    images = tf.random.uniform((2, SIZE, SIZE, 3))
    np.testing.assert_allclose(
        network(images), model(images, training=False), atol=1e-5
    )
