"""What every network must do, on narrow ones of each family."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from narrow_networks import NARROW

import keras_resizable
from keras_resizable import count_flops_of_configs
from keras_resizable.export import run_tflite, to_saved_model, to_tflite
from keras_resizable.export.flatbuffer import count_operators

# FLOPs and parameters at 224 px, from the source that each follows; of
# ShuffleNetV2 those of its convolutions and classifier.
SOURCES = {
    "MobileNetV1": (569e6, 4.25e6),
    "MobileNetV2": (300e6, 3.5e6),
    "ShuffleNetV2": (296e6, 3.5e6),
    "ResizableNet": (365e6, 6.7e6),
    "ResNet101": (7.8e9, 44.5e6),
    "ResNet152": (11.5e9, 60.2e6),
}
NUM_STAGES = {"MobileNetV1": 5, "MobileNetV2": 5, "ShuffleNetV2": 3, "ResizableNet": 3}
OPERATORS = {
    "ADD",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "LOGISTIC",
    "MAX_POOL_2D",
    "MEAN",
    "MUL",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "SOFTMAX",
    "SPLIT",
    "TRANSPOSE",
}


@pytest.mark.parametrize("name", SOURCES)
def test_has_the_flops_and_parameters_of_its_source(name):
    network = getattr(keras_resizable, name)(scales=[1.0])
    flops, params = SOURCES[name]
    counted = count_flops_of_configs(network, [network.space.largest])
    assert counted == [pytest.approx(flops, rel=0.01)]
    assert network.count_params() == pytest.approx(params, rel=0.012)
    assert network.space.num_stages == NUM_STAGES.get(name, 4)


@pytest.mark.parametrize("name", NARROW)
def test_trains_saves_cuts_out_and_converts(name, randomize, tmp_path):
    network = NARROW[name](
        scales=(1.0, 0.7), input_shape=(43, 37, 3), classes=4, name="narrow"
    )
    network.compile(
        keras.optimizers.SGD(0.1),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,  # Graphs of all families: test_odd_batches.py.
    )
    images = np.random.default_rng(0).random((4, 43, 37, 3), np.float32)
    before = [weight.numpy() for weight in network.trainable_weights]
    history = network.fit(images, np.arange(4), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for weight, old in zip(network.trainable_weights, before):
        assert np.isfinite(weight).all() and (weight.numpy() != old).any(), weight.path

    randomize(network)
    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    config = (0.7, 1.0, 0.7)
    expected = network(images, config=config)
    np.testing.assert_array_equal(copy(images, config=config), expected)

    model = copy.sub_network(config)
    np.testing.assert_allclose(model(images), expected, atol=1e-5)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    to_tflite(model, tmp_path / "model.tflite")
    outputs = run_tflite(tmp_path / "model.tflite", images[:1])
    np.testing.assert_allclose(outputs, expected[:1], atol=1e-4)
    to_saved_model(copy, tmp_path / "model", [config])
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    for name, inputs in (("serving_default", {}), ("any", {"config": config})):
        inputs = {key: tf.constant(value) for key, value in inputs.items()}
        outputs = signatures[name](images=tf.constant(images), **inputs)["outputs"]
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert set(count_operators((tmp_path / "model.tflite").read_bytes())) <= OPERATORS


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, "mixed_float16") for name in NARROW), ("MobileNetV2", "mixed_bfloat16")],
)
def test_mixed_precision_trains(name, dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        network = NARROW[name](
            scales=(1.0, 0.7), input_shape=(24, 24, 3), classes=4, name="narrow"
        )
    finally:
        keras.config.set_dtype_policy("float32")
    network.compile(loss="sparse_categorical_crossentropy", run_eagerly=True)
    images = np.random.default_rng(0).random((4, 24, 24, 3), np.float32)
    history = network.fit(images, np.arange(4), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert network.stages[0].output.dtype == keras.DTypePolicy(dtype).compute_dtype


def test_widths_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match=r"`width` must be one of 0.5.*0.7"):
        keras_resizable.ShuffleNetV2(width=0.7)
    for make in (keras_resizable.MobileNetV1, keras_resizable.MobileNetV2):
        with pytest.raises(ValueError, match="alpha=-1"):
            make(alpha=-1)
