import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resizable import ResNet20, ResNet50, calibrate

# Without the library: it cannot be found, and an import of it would show.
LOAD_ALONE = """
import sys
sys.modules["keras_resizable"] = None
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
data = np.load(sys.argv[2])
np.testing.assert_array_equal(model.predict(data["images"], verbose=0), data["outputs"])
"""


def assert_equals_network(model, network, config, images):
    expected = network(images, config=config)
    difference = np.abs(model(images) - expected).max()
    assert difference <= 1e-5 * np.abs(expected).max(), config


def test_every_sub_network_of_resnet20_equals_the_super_network(randomize):
    network = ResNet20(input_shape=(29, 33, 3), classifier_activation=None)
    randomize(network)
    images = tf.random.normal((2, 29, 33, 3))
    for config in network.space.configs():
        assert_equals_network(network.sub_network(config), network, config, images)


def test_some_of_resnet50_equal_the_super_network(randomize):
    network = ResNet50(input_shape=(97, 75, 3), classifier_activation=None)
    randomize(network)
    images = tf.random.normal((1, 97, 75, 3))
    configs = list(network.space.configs())
    for number in np.random.default_rng(0).choice(len(configs), 4, replace=False):
        config = configs[number]
        assert_equals_network(network.sub_network(config), network, config, images)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_kept(make_network, randomize, batch, dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        network = make_network(classifier_activation=None)
    finally:
        keras.config.set_dtype_policy("float32")
    randomize(network)
    model = network.sub_network((0.75, 0.5))
    assert {layer.dtype_policy.name for layer in model.layers} >= {dtype}
    expected = network(batch[0], config=(0.75, 0.5))
    np.testing.assert_allclose(model(batch[0]), expected, rtol=0.1, atol=0.1)


def test_is_stock_and_loads_without_the_library(
    make_network, randomize, tmp_path, batch
):
    network = make_network()
    randomize(network)
    model = network.sub_network((0.75, 0.5))
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert model.count_params() == network.count_params() - network.extra_params
    model.save(tmp_path / "sub.keras")
    images = batch[0]
    outputs = model.predict(images, verbose=0)
    np.savez(tmp_path / "data.npz", images=images, outputs=outputs)
    paths = [str(tmp_path / name) for name in ("sub.keras", "data.npz")]
    subprocess.run([sys.executable, "-c", LOAD_ALONE, *paths], check=True)


def test_a_plain_call_is_inference(make_network, randomize, batch):
    # What a `keras.layers.Resizing` in the middle would spoil.
    network = make_network()
    randomize(network)
    model = network.sub_network((0.5, 0.5))
    before = model.get_weights()
    np.testing.assert_array_equal(model(batch[0]), model(batch[0], training=False))
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_can_be_fine_tuned(make_network, batch):
    model = make_network().sub_network((0.75, 0.5))
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(*batch, verbose=0)
    for variable, old in zip(model.weights, before):
        assert not np.array_equal(variable, old), variable.path


def test_needs_a_fixed_input_shape(make_network):
    network = make_network(input_shape=(None, None, 2))
    with pytest.raises(ValueError, match=r"\(None, None, 2\).*fixed `input_shape`"):
        network.sub_network((1.0,))


def one_norm_model():
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.BatchNormalization()(inputs)
    return keras.Model(inputs, keras.layers.Dropout(0.5)(outputs))


def test_calibration_is_of_all_images():
    values = 3 + 2 * np.random.default_rng(0).random((20, 4, 4, 3), np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(values).batch(5)
    model = one_norm_model()
    calibrate(model, dataset)
    norm = model.layers[1]
    np.testing.assert_allclose(norm.moving_mean, values.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, values.var((0, 1, 2)), rtol=1e-4)
    assert norm.momentum == 0.99 and norm.trainable
    calibrate(model, dataset.repeat(), steps=1)
    np.testing.assert_allclose(norm.moving_mean, values[:5].mean((0, 1, 2)), rtol=1e-5)


def test_calibration_estimates_frozen_models():
    model = one_norm_model()
    model.trainable = False
    calibrate(
        model, tf.data.Dataset.from_tensors(np.full((5, 4, 4, 3), 7.0, "float32"))
    )
    np.testing.assert_allclose(model.layers[1].moving_mean, [7.0] * 3)
    assert not model.layers[1].trainable


def test_calibrated_sub_network_normalises_as_in_training(make_network, batch):
    network = make_network()
    dataset = tf.data.Dataset.from_tensors(batch)
    before = network.get_weights()
    model = network.sub_network((0.75, 0.5), calibrate_with=dataset)
    expected = network.sub_network((0.75, 0.5))(batch[0], training=True)
    np.testing.assert_allclose(model(batch[0], training=False), expected, atol=1e-4)
    for old, new in zip(before, network.get_weights()):
        np.testing.assert_array_equal(old, new)  # Rows are shared: left alone.


def test_calibrating_a_network_touches_the_rows_of_its_config(make_network, batch):
    network = make_network()
    model = network.sub_network(
        (0.75, 0.5), calibrate_with=tf.data.Dataset.from_tensors(batch)
    )
    network.config = (0.75, 0.5)
    calibrate(network, tf.data.Dataset.from_tensors(batch))
    norm = network.stages[1].get_layer("conv3_block2_1_bn")
    stock = model.get_layer("conv3_block2_1_bn")
    np.testing.assert_allclose(norm.moving_mean[2], stock.moving_mean, atol=1e-5)
    np.testing.assert_array_equal(norm.moving_mean[:2], np.zeros((2, 6)))


def test_bad_calibration_data_is_refused():
    dataset = tf.data.Dataset.from_tensors(np.zeros((2, 4, 4, 3), "float32"))
    with pytest.raises(ValueError, match="never ends"):
        calibrate(one_norm_model(), dataset.repeat())
    with pytest.raises(ValueError, match="no batch"):
        calibrate(one_norm_model(), dataset.take(0))
