"""The learning rate range test."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network
from foreign_models import SIZE, body, classify, of

import keras_resizable
from keras_resizable import find_learning_rate

MAKE_NETWORK = small_network


@pytest.fixture
def easy():
    """Batches of images whose brightness is their class."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 64)
    images = generator.random((64, 12, 12, 2)) * 0.1 + labels[:, None, None, None]
    return tf.data.Dataset.from_tensor_slices((images.astype("float32"), labels)).batch(
        16
    )


def compile_network(network, **options):
    network.compile(
        keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(0.1, 9), momentum=0.9
        ),
        "sparse_categorical_crossentropy",
        **options,
    )
    return network


@pytest.mark.filterwarnings("ignore:With `split_batch=True` each")
@pytest.mark.parametrize("split_batch", [False, True])
def test_the_lowest_loss_is_suggested_and_the_network_stays(
    make_network, easy, tmp_path, split_batch
):
    network = compile_network(make_network(), split_batch=split_batch)
    before = network.get_weights()
    result = find_learning_rate(network, easy, steps=60)
    for old, new in zip(before, network.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert network.optimizer.iterations == 0
    assert len(result.rates) == len(result.losses) <= 60
    assert result.rates[0] == pytest.approx(1e-4)
    ratios = result.rates[1:] / result.rates[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    lowest = result.losses.argmin()
    assert result.losses[lowest] < 0.8 * result.losses[0]
    assert result.suggested == pytest.approx(result.rates[lowest], rel=0.5)
    result.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("is_converted", [False, True])
def test_the_model_is_tried_as_it_is(is_converted):
    """Also what layers keep beside their weights, as an adapted normalisation does."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 32)
    images = (
        generator.normal(5000, 20, (32, SIZE, SIZE, 3))
        + 40 * labels[:, None, None, None]
    )
    images = images.astype("float32")
    adapted = keras.layers.Normalization()
    adapted.adapt(images)
    model = of(lambda x: keras.layers.Softmax()(classify(body(adapted(x)), classes=3)))
    network = keras_resizable.from_keras(model, (1.0, 0.5)) if is_converted else model
    network.compile("sgd", "sparse_categorical_crossentropy")
    result = find_learning_rate(network, (images, labels), steps=10, highest=1e-2)
    assert result.losses[0] < 3  # 400 where images are not normalised.


def test_losses_are_those_of_the_steps(make_network, batch):
    """At rates so low that nothing changes but batch statistics."""
    network = compile_network(make_network())
    dataset = tf.data.Dataset.from_tensors(batch)
    with pytest.raises(ValueError, match="never fell below.*from 1e-18 to"):
        find_learning_rate(network, dataset, steps=10, lowest=1e-18, highest=1e-17)


def test_bad_arguments_are_named(make_network, batch):
    dataset = tf.data.Dataset.from_tensors(batch)
    with pytest.raises(ValueError, match="Compile the network first"):
        find_learning_rate(make_network(), dataset)
    network = compile_network(make_network())
    for options in ({"steps": 3}, {"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}="):
            find_learning_rate(network, dataset, **options)


def test_the_optimizer_of_mixed_precision(make_network, easy):
    """Which Keras wraps in one that scales the loss."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = compile_network(make_network())
        assert isinstance(network.optimizer, keras.optimizers.LossScaleOptimizer)
        assert find_learning_rate(network, easy, steps=30).suggested > 0
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_loss_that_is_no_number_is_told(make_network, batch):
    network = compile_network(make_network())
    images, labels = batch
    dataset = tf.data.Dataset.from_tensors((np.nan * images, labels))
    with pytest.raises(ValueError, match="never fell below"):
        find_learning_rate(network, dataset, steps=10)
