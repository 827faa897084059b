"""Rows of batch normalisation are variables of their own to every optimizer."""

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from odd_networks import classifier, norm_stage, tiny_network

from keras_resizable import FixedSampler
from keras_resizable.subnetworks.parts import norms_by_stage

OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.02, momentum=0.9, weight_decay=0.01),
    "clipped": lambda: optimizers.SGD(0.02, clipnorm=0.01),
    "averaged": lambda: optimizers.SGD(0.02, use_ema=True, ema_momentum=0.5),
    **{
        name: lambda name=name: getattr(optimizers, name)(0.02)
        for name in (
            *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl"),
            *("Lamb", "Lion", "Muon", "Nadam", "RMSprop", "ScheduleFreeAdamW"),
        )
    },
}


def test_all_optimizers_of_keras_are_here():
    known = {
        name
        for name, value in vars(optimizers).items()
        if isinstance(value, type) and issubclass(value, optimizers.Optimizer)
    }
    made_of_others = {"LossScaleOptimizer", "MultiOptimizer"}
    assert known - {"Optimizer"} - made_of_others <= {*OPTIMIZERS}


def images_and_labels():
    generator = np.random.default_rng(0)
    return generator.normal(1, 2, (6, 8, 8, 3)).astype("float32"), np.arange(6) % 3


def plain():
    images = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(momentum=0.5)(images)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_one_scale_trains_as_the_plain_model(make):
    network, stock = tiny_network(scales=(1.0,)), plain()
    for model in (network, stock):
        model.compile(make(), "sparse_categorical_crossentropy", run_eagerly=True)
    stock.set_weights(
        [np.reshape(w, s.shape) for w, s in zip(network.get_weights(), stock.weights)]
    )
    start = network.get_weights()
    for _ in range(3):
        losses = [m.train_on_batch(*images_and_labels()) for m in (network, stock)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for ours, theirs, old in zip(network.weights, stock.get_weights(), start):
        assert not np.array_equal(ours, old), ours.path
        np.testing.assert_allclose(
            np.reshape(ours, theirs.shape), theirs, rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_rows_do_not_mix(make):
    """What a row becomes does not depend on what another row is."""
    images, labels = images_and_labels()
    changes = []
    for other_gamma in (1.0, 30.0):
        head = classifier()
        head.trainable = False
        keras.utils.set_random_seed(0)
        network = tiny_network(stages=[norm_stage()], head=head)
        head.layers[-1].set_weights([np.eye(3), np.zeros(3)])
        ((_, norm),) = norms_by_stage(network.parts)
        norm.gammas[1].assign([other_gamma] * 3)
        sampler = FixedSampler([(1.0,), (0.5,)])
        network.compile(
            make(), "sparse_categorical_crossentropy", sampler=sampler, run_eagerly=True
        )
        before = norm.get_row_weights(0)
        for _ in range(2):
            network.train_on_batch(images, labels)
        changes.append(norm.get_row_weights(0))
        gamma, *_ = changes[-1]
        assert not np.array_equal(gamma, before[0])
    for one, other in zip(*changes):
        np.testing.assert_array_equal(one, other)
