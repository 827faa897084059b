"""Sub-networks equal the super-network whatever layers people use."""

import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from odd_networks import (
    norm_stage,
    stage_of,
    stem_of,
    tiny_network,
)

import keras_resizable
from keras_resizable import ScaleAwareBatchNorm, export
from keras_resizable.subnetworks import shapes
from keras_resizable.subnetworks.parts import norms_by_stage


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(3, 5, (4, 8, 8, 3)).astype("float32")


def assert_cut_out_equals(network, images, config=(0.5,)):
    model = network.sub_network(config)
    expected, got = network(images, config=config), model(images)
    keras.tree.assert_same_structure(expected, got)
    for one, other in zip(keras.tree.flatten(expected), keras.tree.flatten(got)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    return model


def adapted_normalization(images):
    layer = layers.Normalization()
    layer.adapt(images)
    return layer


def in_a_model(layer):
    return keras.Sequential([keras.Input((8, 8, 3)), layer])


@pytest.mark.parametrize("wrap", [lambda layer: layer, in_a_model], ids=["", "inside"])
def test_state_beyond_weights_is_copied(images, wrap, tmp_path):
    network = tiny_network(stem_of(wrap(adapted_normalization(images))))
    model = assert_cut_out_equals(network, images)
    model.save(tmp_path / "sub.keras")
    loaded = keras.saving.load_model(tmp_path / "sub.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    for file in export.to_tflite_files(network, [(0.5,)], tmp_path):
        got = export.run_tflite(file, images)
    np.testing.assert_allclose(got, network(images, config=(0.5,)), atol=1e-5)


def test_a_wrong_cut_out_is_not_exported(images, tmp_path, monkeypatch):
    """The check of a file asks the super-network, not the cut-out."""
    network = tiny_network(stem_of(adapted_normalization(images)))
    with monkeypatch.context() as patched:
        patched.setattr(layers.Normalization, "load_own_variables", lambda *args: None)
        with pytest.raises(ValueError, match="off by"):
            list(export.to_tflite_files(network, [(0.5,)], tmp_path))
    assert not any(tmp_path.glob("*.tflite"))


def two_heads():
    features = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(features)
    twice = layers.Dense(3, name="twice")
    first = twice(pooled)
    outputs = {"b": twice(first), "a": [first, layers.Softmax()(first)]}
    return keras.Model(features, outputs)


def test_outputs_keep_their_structure(images, tmp_path):
    network = tiny_network(head=two_heads())
    model = assert_cut_out_equals(network, images)
    assert model.output["b"] is not model.output["a"][0]
    assert not np.allclose(model(images)["b"], model(images)["a"][0])
    file = export.to_tflite(model, tmp_path / "x.tflite", calibrate_with=images)
    outputs = export.compare_tflite(file, model, images)
    names = [output.name for output in outputs]
    assert names == ["output_0", "output_1", "output_2"]
    assert all(output.difference < 1e-4 for output in outputs)


def nested(x, scale_index):
    """A block that is a model of its own."""
    inputs = keras.Input((None, None, 3))
    index = keras.Input(batch_shape=(), dtype="int32")
    y = layers.Conv2D(3, 1, name="conv")(inputs)
    y = layers.Dropout(0.5)(ScaleAwareBatchNorm(2, name="bn")(y, index))
    block = keras.Model([inputs, index], layers.Add()([inputs, y]))
    return block([block([x, scale_index]), scale_index])


def test_models_inside_of_stages(images, batch):
    network = tiny_network(stages=[stage_of(nested)])
    ((_, norm),) = norms_by_stage(network.parts)
    norm.set_row_weights([np.full(3, v) for v in (0.5, 1.0, 2.0, 3.0)], [1])
    model = assert_cut_out_equals(network, images)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    # The rows that a plan does not use stay as they are.
    network.compile(
        keras.optimizers.AdamW(0.1),
        "sparse_categorical_crossentropy",
        sampler=lambda step: tf.constant([[1]]),
    )
    before = norm.get_row_weights(0)
    network.train_on_batch(images, np.arange(4) % 3)
    network.train_on_batch(images, np.arange(4) % 3)
    np.testing.assert_array_equal(norm.get_row_weights(0), before)
    (flops,) = keras_resizable.count_flops_of_configs(network, [(0.5,)])
    assert flops == keras_resizable.count_flops(network.sub_network((0.5,)))


class Opaque(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = ScaleAwareBatchNorm(2)

    def call(self, x, scale_index):
        return self.norm(x, scale_index)


def test_what_cannot_be_rebuilt_is_named():
    network = tiny_network(stages=[stage_of(Opaque(name="mine"))])
    with pytest.raises(ValueError, match="'mine', a Opaque, holds layers.*functional"):
        network.sub_network((0.5,))


def test_frozen_models_inside_stay_in_inference(images):
    base = in_a_model(layers.BatchNormalization())
    base.trainable = False
    network = tiny_network(stem_of(base))
    model = network.sub_network((0.5,))
    before = [w.numpy() for w in network.stem.weights]
    model(images, training=True)
    copied = [w.numpy() for layer in model.layers[1:2] for w in layer.weights]
    for one, other in zip(before, copied, strict=True):
        np.testing.assert_array_equal(one, other)


def named_stage():
    def make(x, scale_index):
        x = layers.Conv2D(3, 1, name="same")(x)
        return ScaleAwareBatchNorm(2, name="same_bn")(x, scale_index)

    return stage_of(make)


def test_stages_may_use_a_name_twice(images, tmp_path, randomize):
    network = tiny_network(stages=[named_stage(), named_stage()])
    randomize(network)
    model = assert_cut_out_equals(network, images, (0.5, 1.0))
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names)) and "same" in names
    model.save(tmp_path / "sub.keras")
    export.to_saved_model(
        network, tmp_path / "saved", [(0.5, 1.0)], calibrate_with=images
    )
    calibrated = network.sub_network((0.5, 1.0), calibrate_with=images)
    signature = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    np.testing.assert_allclose(
        signature(images=tf.constant(images))["outputs"], calibrated(images), atol=1e-5
    )


def test_inputs_keep_their_dtype(tmp_path):
    stem = stem_of(layers.Rescaling(1 / 127.5, -1.0), dtype="uint8")
    network = tiny_network(stem)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    model = assert_cut_out_equals(network, pixels)
    assert model.inputs[0].dtype == "uint8"
    for file in export.to_tflite_files(network, [(0.5,)], tmp_path):
        got = export.run_tflite(file, pixels)
    np.testing.assert_allclose(got, model(pixels), atol=1e-5)


def test_sizes_that_vanish_are_refused_when_the_network_is_made():
    def make(x, scale_index):
        x = layers.Conv2D(3, 3, strides=2)(x)
        return ScaleAwareBatchNorm(2)(x, scale_index)

    message = r"scale factor 0.5.*stage 2 at scale 0.5 gets maps of 1 x 1"
    with pytest.raises(ValueError, match=message):
        tiny_network(stages=[stage_of(make), stage_of(make)])
    tiny_network(stem_of(input_shape=(32, 32, 3)), [stage_of(make), stage_of(make)])


def test_layers_of_one_size_are_refused_when_the_network_is_made():
    features = keras.Input((8, 8, 3))
    head = keras.Model(features, layers.Dense(2)(layers.Flatten()(features)))
    for part in (head, keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten()])):
        with pytest.raises(ValueError, match="0.5 everywhere, the head.*4 x 4.*only"):
            tiny_network(head=part)
    # A kernel that does not fit, where the part itself takes any size.
    dense = layers.Dense(2)
    dense.build((None, 192))
    outputs = keras.KerasTensor((None, 48))
    with pytest.raises(ValueError, match="takes 192 values on axis -1, not 48"):
        shapes.outputs_of(keras.Sequential([dense]), outputs)


def test_export_writes_the_sub_network_at_config(images, tmp_path):
    network = tiny_network()
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(images, np.arange(4) % 3, verbose=0)
    network.config = (0.5,)
    network.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(loaded.serve(images), network(images), rtol=1e-4)


def test_attributes_are_those_of_a_keras_model():
    network = tiny_network()
    assert network.input_shape == (None, 8, 8, 3)
    assert network.output_shape == (None, 3)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_precisions_are_converted_as_float32(
    make_network, batch, tmp_path, dtype
):
    keras.config.set_dtype_policy(dtype)
    try:
        network = make_network()
    finally:
        keras.config.set_dtype_policy("float32")
    (result,) = export.to_tflite_files(
        network, [(0.5, 0.5)], tmp_path, quantize="none", calibrate_with=batch[0]
    )
    assert result.difference < 0.02
    model = network.sub_network((0.5, 0.5), calibrate_with=batch[0])
    np.testing.assert_allclose(
        export.run_tflite(result, batch[0]), model(batch[0]), atol=0.02
    )


def test_the_network_is_as_it_was_after_counting(make_network):
    network = make_network()
    layer = network.stem.get_layer("conv1_conv")
    before = layer.output
    keras_resizable.count_flops_of_configs(network, [(0.5, 0.5)])
    keras_resizable.count_flops(network.sub_network((0.5, 0.5)))
    assert layer.output is before


def test_norms_are_told_apart_by_what_they_are(images):
    network = tiny_network(stages=[norm_stage(name="one"), norm_stage(name="two")])
    norms = [norm for _, norm in norms_by_stage(network.parts)]
    for norm, value in zip(norms, (1.0, 2.0)):
        norm.name = "bn"
        norm.moving_mean.assign(tf.fill((2, 3), value))
    assert_cut_out_equals(network, images, (1.0, 0.5))


def test_rows_shared_by_two_stages_are_refused():
    norm = ScaleAwareBatchNorm(2, name="shared")
    stages = [stage_of(norm), stage_of(norm)]
    with pytest.raises(ValueError, match="'shared' is in stages 1 and 2"):
        tiny_network(stages=stages)


def test_a_configuration_of_any_kind(make_network):
    network = make_network(scales=(1.0, 0.7))
    for config in (np.array([0.7, 1], np.float32), ["0.7", "1.0"], (0.7,), "0.7"):
        network.config = config
        cut = network.sub_network(config)
        assert network.config == (0.7, 1.0) and cut.count_params() > 0
    with pytest.raises(ValueError, match="config=.'small'"):
        network.sub_network(["small"])


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_sub_network_is_read_by_stock_keras(images, suffix, tmp_path):
    model = tiny_network().sub_network((0.5,))
    path = tmp_path / f"sub.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras, of HDF5.
        model.save(path)
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.models.load_model(sys.argv[1], compile=False)\n"
        "np.save(sys.argv[2], model(np.load(sys.argv[2])))\n"
        "assert 'keras_resizable' not in sys.modules\n"
    )
    np.save(tmp_path / "array.npy", images)
    subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "array.npy"], check=True
    )
    np.testing.assert_allclose(np.load(tmp_path / "array.npy"), model(images))


def test_a_layer_of_channels_may_be_called_twice():
    shuffle = keras_resizable.layers.ChannelShuffle(2)

    def twice(x, scale_index):
        x = layers.Conv2D(4, 1)(x)
        return layers.Conv2D(3, 1)(shuffle(layers.ReLU()(shuffle(x))))

    network = tiny_network(stages=[stage_of(twice)])
    assert_cut_out_equals(network, np.ones((1, 8, 8, 3), np.float32))


def test_names_of_inputs_may_be_those_of_layers():
    def named(x, scale_index):
        return layers.ReLU(name="images")(x)

    network = tiny_network(stages=[stage_of(named)])
    assert_cut_out_equals(network, np.ones((1, 8, 8, 3), np.float32))
