"""What the blocks of all model families are made of."""

from collections.abc import Callable
from typing import TypeAlias

import keras
from keras import layers

from keras_resizable.layers import DropPath

Regularizer: TypeAlias = keras.regularizers.Regularizer | str | None
# Batch normalisation at the scale of the block's stage, by its name.
Norm = Callable[[keras.KerasTensor, str], keras.KerasTensor]
Block = Callable[[keras.KerasTensor, Norm, Regularizer], keras.KerasTensor]


def conv(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    stride: int,
    regularizer: Regularizer,
    name: str,
) -> keras.KerasTensor:
    """A convolution, padded and without bias."""
    if size == 1 and stride > 1:
        # What it would read. TensorFlow's gradient of a 1x1 convolution with a stride
        # corrupts memory on x86 for batches of 3 or 5 images, among others; that of a
        # slice takes five times as long as that of a pooling of single pixels.
        x = layers.MaxPooling2D(1, strides=stride, name=f"{name}_subsample")(x)
        stride = 1
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


def depthwise_conv(
    x: keras.KerasTensor, stride: int, regularizer: Regularizer, name: str
) -> keras.KerasTensor:
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


def drop_branch(x: keras.KerasTensor, rate: float, name: str) -> keras.KerasTensor:
    """The branch of a residual block, left out for a part of the images."""
    return DropPath(rate, name=name)(x) if rate else x


def drop_rates(drop_path: float, num_blocks: int) -> list[float]:
    """A rate for each residual block, up to that of the last (Huang et al., 2016)."""
    if not 0 <= drop_path < 1:
        raise ValueError(
            f"`drop_path` is at least 0 and below 1. Received: drop_path={drop_path!r}"
        )
    return [drop_path * number / num_blocks for number in range(1, num_blocks + 1)]
