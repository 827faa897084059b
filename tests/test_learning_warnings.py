"""Training that learns nothing is told, with its learning rate."""

import warnings

import keras
import numpy as np
import pytest

from keras_resizable.callbacks import WarnOfNoLearning


def warned(rows, classes=10, num_images=1000, **options):
    """What is said of the logs of epochs."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.25))
    callback = WarnOfNoLearning(classes, num_images, **options)
    callback.set_model(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch, (accuracy, loss) in enumerate(rows):
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {"accuracy": accuracy, "loss": loss})
    return [str(warning.message) for warning in caught]


def test_learning_is_not_warned_of():
    assert not warned([(0.2, 2.2), (0.3, 1.9), (0.3, 1.95), (0.5, 2.0)])


def test_chance_is_told_once():
    (said,) = warned([(0.101, 2.5), (0.1, 2.4), (0.11, 2.3)])
    assert "after epoch 1 is 0.101, no more than chance" in said
    assert "learning rate was up to 0.25: try a lower one" in said


def test_few_images_may_be_lucky():
    assert warned([(0.18, 2.0)], num_images=100)
    assert not warned([(0.18, 2.0)], num_images=10_000)


def test_it_waits_for_some_images():
    rows = [(0.1, 2.5), (0.1, 2.4), (0.1, 2.3)]
    (said,) = warned(rows, after_images=2001)
    assert "after epoch 3" in said
    assert not warned(rows, after_images=3001)
    assert not warned([(0.1, 2.0), (0.3, 2.5), (0.3, 2.4)], after_images=2000)


def test_a_rising_loss_is_told():
    (said,) = warned([(0.3, 2.0), (0.3, 2.5), (0.3, 2.6)])
    assert "risen from 2 to 2.5 in epoch 2" in said and "0.25" in said


def test_it_names_the_highest_rate_of_an_epoch(make_network, batch):
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.0, 1e-9, 0.0])
    network = make_network()
    network.head.layers[-1].set_weights([np.zeros((6, 3)), np.array([0.0, 0, 9])])
    network.compile(
        keras.optimizers.SGD(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    callback = WarnOfNoLearning(3, 8)
    with pytest.warns(UserWarning, match="is 0.000, no more.* was up to 1e-09: "):
        network.fit(
            batch[0], np.zeros(8), batch_size=2, verbose=0, callbacks=[callback]
        )
