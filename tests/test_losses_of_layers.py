"""What layers add to the loss is counted once a step and trained, as Keras does."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers
from odd_networks import stage_of, stem_of, tiny_network

from keras_resizable import FixedSampler, ScaleAwareBatchNorm, distillation

PENALTY = keras.regularizers.L2(0.05)


def conv(name):
    return layers.Conv2D(
        3, 1, activity_regularizer=PENALTY, kernel_regularizer=PENALTY, name=name
    )


def dense(name):
    return layers.Dense(3, "softmax", activity_regularizer=PENALTY, name=name)


def head():
    features = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(features)
    return keras.Model(features, dense("dense")(pooled))


def make(scales=(1.0,), **kwargs):
    def layers_of_stage(x, scale_index):
        return ScaleAwareBatchNorm(len(scales), name="bn")(conv("two")(x), scale_index)

    stage = stage_of(layers_of_stage, scales=scales)
    return tiny_network(stem_of(conv("one")), [stage], head(), scales, **kwargs)


def plain():
    x = images = keras.Input((8, 8, 3))
    for layer in (conv("one"), conv("two"), layers.BatchNormalization(name="bn")):
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, dense("dense")(x))


@pytest.fixture
def data():
    images = np.random.default_rng(0).normal(1, 3, (6, 8, 8, 3)).astype("float32")
    return images, np.arange(6) % 3


@pytest.mark.parametrize("eagerly", [False, True])
def test_one_scale_trains_as_the_plain_model(data, eagerly):
    network, stock = make(), plain()
    stock.set_weights(
        [np.reshape(w, s.shape) for w, s in zip(network.get_weights(), stock.weights)]
    )
    options = {"loss": "sparse_categorical_crossentropy", "run_eagerly": eagerly}
    network.compile("sgd", **options)
    stock.compile("sgd", **options)
    for _ in range(3):
        losses = [model.train_on_batch(*data) for model in (network, stock)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] > 2  # The penalties are in it.
    for ours, theirs in zip(network.weights, stock.get_weights()):
        np.testing.assert_allclose(
            np.reshape(ours, theirs.shape), theirs, rtol=1e-3, atol=1e-5
        )
    losses = [model.evaluate(*data, verbose=0) for model in (network, stock)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


class EveryId(set):
    """The `id`s of losses of a step before, all of which are used again."""

    def __contains__(self, item):
        return True


def test_no_loss_is_taken_for_one_of_a_step_before(data):
    results = []
    for ids in (set, EveryId):
        keras.utils.set_random_seed(0)
        network = make()
        network.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        for part in network.parts:
            for layer in part.model.layers:
                vars(layer)["_loss_ids"] = ids()
        results.append([network.train_on_batch(*data) for _ in range(2)])
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "teaching", [None, distillation.InPlaceDistillation(0.0)], ids=["plain", "taught"]
)
def test_the_stem_counts_once_whatever_the_plan(data, teaching):
    losses, kernels = [], []
    for copies in (1, 3):
        keras.utils.set_random_seed(0)
        network = make(scales=(1.0, 0.5))
        sampler = FixedSampler([(1.0,)] * copies)
        network.compile(
            keras.optimizers.SGD(0.1),
            "sparse_categorical_crossentropy",
            sampler=sampler,
            distillation=teaching,
        )
        losses.append(network.train_on_batch(*data))
        kernels.append(network.stem.get_layer("one").kernel.numpy())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    np.testing.assert_allclose(*kernels, rtol=1e-4, atol=1e-6)


def test_replicas_count_them_as_one(strategy, data):
    kernels = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            network = make()
            network.stages[0].get_layer("bn").trainable = False
            network.compile(
                keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy"
            )
        for number, weight in enumerate(network.trainable_weights):
            weight.assign(np.random.default_rng(number).normal(size=weight.shape))
        network.fit(*data, batch_size=6, verbose=0, shuffle=False)
        kernels.append([weight.numpy() for weight in network.trainable_weights])
    for one, two in zip(*kernels):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)
