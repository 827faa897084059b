"""What the blocks of all model families are made of."""

import keras
from keras import layers

from keras_resizable.layers import DropPath


def conv(x, filters, size, stride, regularizer, name):
    """A convolution, padded and without bias."""
    if size == 1 and stride > 1:
        # What it would read. TensorFlow's gradient of a 1x1 convolution with a stride
        # corrupts memory on x86 for batches of 3 or 5 images, among others.
        x, stride = x[:, ::stride, ::stride], 1
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
    """A 3x3 convolution of each channel by itself, padded and without bias."""
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


def drop_branch(x, rate, name):
    """The branch of a residual block, left out for a part of the images."""
    return DropPath(rate, name=name)(x) if rate else x


def drop_rates(drop_path, num_blocks):
    """A rate for each residual block, up to that of the last (Huang et al., 2016)."""
    if not 0 <= drop_path < 1:
        raise ValueError(
            f"`drop_path` is at least 0 and below 1. Received: drop_path={drop_path!r}"
        )
    return [drop_path * number / num_blocks for number in range(1, num_blocks + 1)]
