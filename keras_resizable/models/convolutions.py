"""The convolutions that all model families are made of: padded, no bias."""

import keras
from keras import layers


def conv(x, filters, size, stride, regularizer, name):
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=regularizer,
        name=name,
    )(x)


def depthwise_conv(x, stride, regularizer, name):
    """A 3x3 convolution of each channel by itself."""
    return layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        # He's: Keras's own takes all channels for inputs of each.
        depthwise_initializer=keras.initializers.TruncatedNormal(stddev=(2 / 9) ** 0.5),
        depthwise_regularizer=regularizer,
        name=name,
    )(x)
