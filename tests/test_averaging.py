"""Averages of weights, as Keras's optimizers keep them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network

from keras_resizable import FixedSampler, PiecewiseSampler, SandwichSampler
from keras_resizable.callbacks import SubNetworkAccuracy
from keras_resizable.distillation import InPlaceDistillation
from keras_resizable.training.averaging import averaged
from keras_resizable.workshop.runs.keras_files import load_network
from keras_resizable.workshop.runs.resuming import fit_resumable

MAKE_NETWORK = small_network

STEPS = 2


def compile_network(network):
    network.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.7),
        "sparse_categorical_crossentropy",
    )
    return network


def weights_of(network):
    return [weight.numpy() for weight in network.trainable_variables]


def test_the_average_of_each_step_stands_in_for_a_while(make_network, batch):
    network = compile_network(make_network())
    expected = None
    for _ in range(3):
        network.train_on_batch(*batch)
        new = weights_of(network)
        if expected is None:
            expected = new
        else:
            expected = [0.7 * old + 0.3 * w for old, w in zip(expected, new)]
    with averaged(network):
        for average, value in zip(weights_of(network), expected):
            np.testing.assert_allclose(average, value, rtol=1e-4, atol=1e-6)
    for weight, value in zip(weights_of(network), new):
        np.testing.assert_array_equal(weight, value)


class Stop(keras.callbacks.Callback):
    """Ends the run after a step, in the middle of an epoch."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise KeyboardInterrupt


def test_saved_are_averages_and_an_interrupted_run_goes_on_with_weights(
    make_network, batch, tmp_path
):
    dataset = tf.data.Dataset.from_tensors(batch).repeat()

    def train(folder, callbacks=()):
        keras.utils.set_random_seed(0)
        network = compile_network(make_network())
        fit_resumable(
            network,
            lambda step: dataset,
            steps_per_epoch=STEPS,
            epochs=3,
            folder=tmp_path / folder,
            every_steps=1,
            callbacks=callbacks,
            verbose=0,
        )
        return network

    whole = train("whole")
    saved = load_network(tmp_path / "whole" / "supernet.keras")
    for one, other in zip(weights_of(whole), weights_of(saved), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    for step in (3, 5):  # In the middle of the second and of the last epoch.
        with pytest.raises(KeyboardInterrupt):
            train("parts", [Stop(step)])
    for parts in (train("parts"), train("parts")):  # Once more when it has ended.
        for one, other in zip(weights_of(whole), weights_of(parts)):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_all_at_once_on_two_replicas_in_mixed_precision(strategy, make_network, batch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with strategy.scope():
            network = make_network()
            space = network.space
            largest = FixedSampler([space.largest])
            network.compile(
                keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.7),
                "sparse_categorical_crossentropy",
                sampler=PiecewiseSampler([1], [largest, SandwichSampler()]),
                distillation=InPlaceDistillation(),
            )
    finally:
        keras.config.set_dtype_policy("float32")
    dataset = tf.data.Dataset.from_tensor_slices(batch).batch(8)
    shown = SubNetworkAccuracy(dataset)
    network.check_statistics = False  # After the first epoch only the largest's are.
    options = {"verbose": 0, "shuffle": False, "callbacks": [shown]}
    history = network.fit(dataset, epochs=3, **options).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(history["val_loss_smallest"]).all()
    for variable in network.variables:
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second, variable.path)
