import keras
import numpy as np
import pytest
from conftest import small_network

from keras_resizable import calibrate
from keras_resizable.callbacks import SubNetworkAccuracy

MAKE_NETWORK = small_network


@pytest.fixture
def trained(make_network, batch, randomize):
    network = make_network()
    network.compile(
        keras.optimizers.SGD(0.05),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return network


def fit(network, batch, callback):
    return network.fit(*batch, epochs=2, verbose=0, callbacks=[callback]).history


def test_accuracies_are_those_of_evaluate(trained, batch, tf_dataset):
    configs = {"smallest": (0.5, 0.5), "chosen": (1.0, 0.75)}
    history = fit(trained, batch, SubNetworkAccuracy(batch, configs))
    for name, config in configs.items():
        trained.config = config
        results = trained.evaluate(tf_dataset, verbose=0, return_dict=True)
        assert history[f"val_loss_{name}"][-1] == pytest.approx(results["loss"])
        assert history[f"val_accuracy_{name}"][-1] == pytest.approx(results["accuracy"])


def test_calibrated_accuracies_leave_the_network_as_it_was(trained, batch, tf_dataset):
    callback = SubNetworkAccuracy(tf_dataset, calibrate_with=tf_dataset)
    before = []

    class Remember(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            before[:] = self.model.get_weights()

    history = trained.fit(
        *batch, epochs=2, verbose=0, callbacks=[Remember(), callback]
    ).history
    for old, new in zip(before, trained.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert trained.config == (1.0, 1.0)
    for name, config in (("largest", (1.0, 1.0)), ("smallest", (0.5, 0.5))):
        model = trained.sub_network(config)
        calibrate(model, tf_dataset)
        model.compile(loss="sparse_categorical_crossentropy")
        loss = model.evaluate(tf_dataset, verbose=0)
        assert history[f"val_loss_{name}"][-1] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("synchronized", [False, True])
def test_under_a_strategy(strategy, make_network, batch, tf_dataset, synchronized):
    with strategy.scope():
        network = make_network(scales=(1.0, 0.5), synchronized=synchronized)
        network.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    callback = SubNetworkAccuracy(tf_dataset, calibrate_with=tf_dataset)
    history = fit(network, batch, callback)
    model = network.sub_network((0.5, 0.5))
    calibrate(model, tf_dataset)
    model.compile(loss="sparse_categorical_crossentropy")
    loss = model.evaluate(tf_dataset, verbose=0)
    assert history["val_loss_smallest"][-1] == pytest.approx(loss, rel=1e-4)
