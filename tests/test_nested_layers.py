"""What looks for layers finds them inside of models and layers too."""

import keras
import numpy as np
from keras import layers
from odd_networks import norm_stage, stage_of, tiny_network

from keras_resizable import ScaleAwareBatchNorm, StageResize
from keras_resizable.subnetworks.pieces import content, pieces_of_configs
from keras_resizable.training import cut_outs


def stem_layers():
    return [layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()]


def nested(stack):
    return [keras.Sequential([keras.Input((8, 8, 3)), *stack])]


def test_what_is_trained_of_a_nested_model():
    for wrap in (list, nested):
        inputs = keras.Input((8, 8, 3))
        x = inputs
        for layer in wrap(stem_layers()):
            x = layer(x)
        dense = layers.Dense(3, activation="softmax")
        model = keras.Model(inputs, dense(layers.GlobalAveragePooling2D()(x)))
        cut_outs.train_only(model, "classifier")
        # Gamma and beta of the last batch normalisation, kernel and bias.
        assert len(model.trainable_variables) == 4
        cut_outs.train_only(model, "all")
        assert len(model.trainable_variables) == 6


def resize_inside(x, scale_index):
    inputs = keras.Input((None, None, 3))
    index = keras.Input(batch_shape=(), dtype="int32")
    resized = StageResize((1.0, 0.5))(inputs, index)
    return keras.Model([inputs, index], resized)([x, scale_index])


def test_pieces_that_resize_inside_differ_by_scale():
    network = tiny_network(stages=[stage_of(resize_inside)])
    digests = {
        content(network, piece)
        for pieces in pieces_of_configs(network, [(1.0,), (0.5,)])
        for piece in pieces[1:2]
    }
    assert len(digests) == 2


def test_synchronized_layers_are_found_at_any_depth(strategy):
    def make(x, scale_index):
        inner = keras.Input((None, None, 3))
        index = keras.Input(batch_shape=(), dtype="int32")
        y = ScaleAwareBatchNorm(2, synchronized=True)(inner, index)
        return keras.Model([inner, index], y)([x, scale_index])

    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    for make_stage in (lambda: stage_of(make), norm_stage):
        with strategy.scope():
            network = tiny_network(stages=[make_stage()])
            network.compile("sgd", "sparse_categorical_crossentropy")
        history = network.fit(images, np.arange(4) % 3, batch_size=4, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
