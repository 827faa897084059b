"""Networks of the kinds that people build, each of a few layers."""

import keras
from keras import layers

from keras_resizable import ResizableNetwork, ScaleAwareBatchNorm, StageResize

SCALES = (1.0, 0.5)


def stage_of(make_layers, channels=3, scales=SCALES, name=None):
    """A stage: a resize, then what is made of `(features, scale_index)`."""
    features = keras.Input((None, None, channels))
    scale_index = keras.Input(batch_shape=(), dtype="int32")
    x = StageResize(scales)(features, scale_index)
    outputs = make_layers(x, scale_index)
    return keras.Model([features, scale_index], outputs, name=name)


def norm_stage(channels=3, scales=SCALES, name=None):
    """A stage of one batch normalisation."""
    norm = ScaleAwareBatchNorm(len(scales), momentum=0.5)
    return stage_of(norm, channels, scales, name)


def classifier(channels=3, classes=3, activation="softmax"):
    features = keras.Input((None, None, channels))
    x = layers.GlobalAveragePooling2D()(features)
    outputs = layers.Dense(classes, activation=activation, dtype="float32")(x)
    return keras.Model(features, outputs)


def stem_of(*stem_layers, input_shape=(8, 8, 3), dtype=None):
    images = x = keras.Input(input_shape, dtype=dtype)
    for layer in stem_layers or (layers.Identity(),):
        x = layer(x)
    return keras.Model(images, x)


def tiny_network(stem=None, stages=None, head=None, scales=SCALES, **kwargs):
    """A stem, a stage and a head, of a layer or two each if not told."""
    stages = [norm_stage(scales=scales)] if stages is None else stages
    return ResizableNetwork(
        stem or stem_of(), stages, head or classifier(), scales, **kwargs
    )
