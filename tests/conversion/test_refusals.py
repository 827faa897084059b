"""What cannot be converted is refused when it is converted, by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from foreign_models import SIZE, block, body, classify, conv, of, plain
from keras import layers, ops

from keras_resizable import from_keras, resize_points

SCALES = (1.0, 0.7)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(ops.mean(x, axis=(1, 2)))


class WithoutConfig(layers.Layer):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def call(self, x):
        return x * self.number


class Norm(layers.BatchNormalization):
    pass


def with_layer(layer):
    return of(lambda x: classify(block(layer(conv(x, 4)), 4)))


def tokens():
    def make(x):
        x = layers.Reshape((36, 8))(layers.Conv2D(8, 4, 4)(x))
        for _ in range(2):
            x = layers.add([x, layers.MultiHeadAttention(2, 4)(x, x)])
        return layers.Dense(3)(layers.GlobalAveragePooling1D()(x))

    return of(make)


def cells():
    """Each takes the two before it, as those of NASNet do."""

    def make(x):
        before, x = conv(x, 4), conv(x, 4)
        for _ in range(3):
            before, x = x, layers.add([conv(x, 4), conv(before, 4)])
        return classify(layers.add([before, x]))

    return of(make)


def unet():
    def make(x):
        skip = x = conv(x, 4)
        x = block(x, 4)
        x = conv(block(conv(x, 4, 2), 4), 4)
        x = layers.UpSampling2D()(x)
        return classify(layers.concatenate([skip, x]))

    return of(make)


def odd_maps_are_joined():
    """Inside of a stage: maps of 17 px come back as 18."""

    def make(x):
        x = conv(x, 4)
        y = layers.UpSampling2D()(conv(conv(x, 4), 4, 2))
        return classify(layers.concatenate([x, y]))

    return of(make)


def fixed(x):
    return layers.Reshape((SIZE, SIZE, 4))(x)


def two_inputs():
    inputs = [keras.Input((SIZE, SIZE, 3)) for _ in range(2)]
    return keras.Model(inputs, classify(layers.add(inputs)))


def channels_first():
    return with_layer(
        layers.Conv2D(24, 3, padding="same", data_format="channels_first")
    )


REFUSED = {
    "subclassed": (Subclassed, "must be a functional.*model.call.x.*Subclassed"),
    "subclassed inside": (
        lambda: of(lambda x: Subclassed()(body(x))),
        "A model inside must be functional.*, a Subclassed",
    ),
    "not built": (
        lambda: keras.Sequential([layers.Conv2D(4, 3)]),
        "built, that.*built=False",
    ),
    "tokens": (tokens, "no place for a resize in .*resize_before"),
    "cells": (cells, "no place for a resize in .*all later layers depend on"),
    "skip past all": (unet, r"\(2, 17, 17, 4\), \(2, 18, 18, 4\): their sizes differ"),
    "odd maps": (
        odd_maps_are_joined,
        "scale factor 0.7 everywhere, stage 1 at scale 0.7 gets maps of 24 x 24 and "
        r"cannot run: Layer 'concatenate\w*', a Concatenate, cannot run on "
        r"\(2, 17, 17, 4\), \(2, 18, 18, 4\): their sizes differ",
    ),
    "fixed size in a stage": (
        lambda: of(lambda x: classify(block(fixed(block(conv(x, 4), 4)), 4))),
        "stage 1 at scale 0.7 gets maps of .* Layer 'reshape.* Leave out the scale.*"
        "or replace a layer that takes maps of one size",
    ),
    "without configuration": (
        lambda: with_layer(WithoutConfig(2)),
        "Layer 'without_config.*', a WithoutConfig, cannot be copied.*nt 'trainable'",
    ),
    "activation without a name": (
        lambda: with_layer(layers.Conv2D(4, 3, padding="same", activation=tf.nn.swish)),
        "Layer 'conv2d.*and `from_config`: (?!Error when).*swish",
    ),
    "sizes in a graph": (
        lambda: with_layer(layers.UpSampling2D(interpolation="bilinear")),
        "Layer 'up_sampling2d.*', a UpSampling2D, cannot run on maps of any height",
    ),
    "lambda": (
        lambda: with_layer(layers.Lambda(lambda x: 2 * x)),
        "Layer 'lambda.*', a Lambda, cannot be copied",
    ),
    "channels first": (channels_first, "'conv2d.*data_format='channels_first'"),
    "norm of another axis": (
        lambda: with_layer(layers.BatchNormalization(axis=1)),
        "'batch_norm.*', a BatchNormalization with {'axis': 1}",
    ),
    "norm with a constraint": (
        lambda: with_layer(layers.BatchNormalization(gamma_constraint="non_neg")),
        "'batch_norm.*', a BatchNormalization with {'gamma_constraint'",
    ),
    "norm of another class": (lambda: with_layer(Norm()), "Received: 'norm.*', a Norm"),
    "two inputs": (two_inputs, r"images \(batch.*alone.*\), \(None, 24, 24, 3\)"),
    "no images": (
        lambda: keras.Sequential([keras.Input((8,)), layers.Dense(2)]),
        r"images \(batch, height, width, channels\).*\(None, 8\)",
    ),
    "no model": (lambda: "EfficientNetB0", "keras.Model.*model='EfficientNetB0'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_named(name):
    make, message = REFUSED[name]
    model = make()
    with pytest.raises(ValueError, match=message):
        from_keras(model, SCALES)


def test_images_that_are_too_small_are_named():
    model = keras.applications.VGG16(
        weights=None, input_shape=(64, 64, 3), include_top=False
    )
    with pytest.raises(
        ValueError, match="stage 4 at scale 0.5 gets maps of .* Leave ou"
    ):
        from_keras(model, (1.0, 0.5))


def test_wrong_places_are_named():
    model = plain()
    names = [point.layer for point in resize_points(model)]
    with pytest.raises(ValueError, match="`resize_before` must be .*'no_such'"):
        from_keras(model, SCALES, resize_before="no_such")
    inside = [layer.name for layer in model.layers if layer.name.startswith("conv2d")]
    inside = [name for name in inside if name not in names][1]
    with pytest.raises(ValueError, match=f"a single map.* '{inside}'"):
        from_keras(model, SCALES, resize_before=[inside])


def test_a_wrong_size_is_named():
    with pytest.raises(ValueError, match=r"takes them, \(24, 24, 3\).*=\(32, 32, 3\)"):
        from_keras(plain(), SCALES, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match=r"input_shape=\(24, 24\)"):
        from_keras(plain(), SCALES, input_shape=(24, 24))


def test_scales_are_checked():
    with pytest.raises(ValueError, match="scale"):
        from_keras(plain(), (1.0, 1.5))
    assert np.all([scale <= 1 for scale in from_keras(plain(), [0.5, 1]).space.scales])
