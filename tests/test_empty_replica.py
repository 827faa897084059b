"""A replica that gets none of the last images changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network

from keras_resizable import FixedSampler, calibrate
from keras_resizable.callbacks import StopOnDivergence
from keras_resizable.subnetworks.calibration import batch_norms

MAKE_NETWORK = small_network


def compiled(network, **kwargs):
    sampler = FixedSampler([(1.0, 1.0), (0.5, 0.75)])
    network.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        sampler=sampler,
        **kwargs,
    )
    return network


def fit(network, images, labels, batch_size):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)
    return network.fit(dataset, verbose=0, shuffle=False).history


def test_one_image_on_two_replicas_trains_as_on_one(strategy, make_network, batch):
    images, labels = batch[0][:1], batch[1][:1]
    alone = compiled(make_network())
    with strategy.scope():
        network = compiled(make_network())
    network.set_weights(alone.get_weights())
    before = network.get_weights()
    # Keras takes the mean over replicas, of which one has no gradient.
    alone.optimizer.learning_rate.assign(0.05)
    expected = fit(alone, images, labels, 1)
    got = fit(network, images, labels, 2)
    assert got["accuracy"] == expected["accuracy"]
    for variable, right in zip(network.weights, alone.get_weights(), strict=True):
        np.testing.assert_allclose(variable, right, rtol=1e-3, atol=1e-5)
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second)
    assert any(
        not np.array_equal(new, old) for new, old in zip(network.get_weights(), before)
    )


def test_weights_decay_whatever_a_replica_gets(strategy, make_network, batch):
    """With a loss of nothing, only the penalties of weights move them."""
    regularizer = keras.regularizers.L2(0.5)
    kernels = []
    for count in (1, 8):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            network = make_network(kernel_regularizer=regularizer)
            network.compile(
                keras.optimizers.SGD(0.1), lambda y, x: 0.0 * tf.reduce_sum(x, -1)
            )
        fit(network, batch[0][:count], batch[1][:count], 8)
        kernels.append(network.stem.get_layer("conv1_conv").kernel.numpy())
    np.testing.assert_allclose(kernels[0], kernels[1], rtol=1e-5)


def test_statistics_count_by_images(strategy, make_network, batch):
    """Two replicas with 2 and 1 images: the first weighs twice as much."""
    images, labels = batch[0][:3], batch[1][:3]
    with strategy.scope():
        network = compiled(make_network())
    norm = next(n for n in batch_norms(network.stages[0]) if n.name == "conv2_bn")
    expected = []
    for part in (images[:2], images[2:]):
        alone = make_network()
        alone.set_weights(network.get_weights())
        compiled(alone)
        alone.train_on_batch(part, labels[: len(part)])
        expected.append(alone.stages[0].get_layer(norm.name).moving_mean.numpy())
    fit(network, images, labels, 4)
    np.testing.assert_allclose(
        norm.moving_mean, (2 * expected[0] + expected[1]) / 3, rtol=1e-4, atol=1e-6
    )


def test_a_last_batch_of_few_images_leaves_finite_statistics(
    strategy, make_network, batch
):
    images, labels = batch
    with strategy.scope():
        network = compiled(make_network())
    history = fit(network, images[:5], labels[:5], 4)
    assert np.isfinite(history["loss"]).all()
    for norm in batch_norms(network):
        assert np.isfinite(norm.moving_mean).all(), norm.path
        assert np.isfinite(norm.moving_variance).all(), norm.path


def test_synchronized_replicas_say_what_to_do(strategy, make_network, batch):
    with strategy.scope():
        network = compiled(make_network(synchronized=True))
    with pytest.raises(tf.errors.InvalidArgumentError, match="drop_remainder=True"):
        fit(network, batch[0][:1], batch[1][:1], 2)


def test_statistics_that_are_no_numbers_end_a_run(make_network, batch):
    network = compiled(make_network())

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, step, logs=None):
            norm = batch_norms(self.model.stages[1])[0]
            norm.moving_mean.assign(tf.fill(norm.moving_mean.shape, np.nan))

    with pytest.raises(FloatingPointError, match="moving_mean.*calibrate"):
        network.fit(*batch, verbose=0, callbacks=[Spoil(), StopOnDivergence()])
    calibrate(network, batch[0])
    assert np.isfinite(network(batch[0])).all()
