"""Building blocks shared by all model families."""

import functools
from collections.abc import Callable, Iterable
from typing import TypeAlias

import keras
from keras import layers

Tensor: TypeAlias = keras.KerasTensor
Regularizer: TypeAlias = keras.regularizers.Regularizer | str | None
# Batch normalisation at the scale of the block's stage, by its name.
Norm = Callable[[Tensor, str], Tensor]
Block = Callable[[Tensor, Norm, Regularizer], Tensor]


def conv(
    x: Tensor, filters: int, size: int, stride: int, regularizer: Regularizer, name: str
) -> Tensor:
    """A padded convolution without bias."""
    if size == 1 and stride > 1:
        # Pool the pixels that the convolution would read. TensorFlow's gradient of a
        # 1x1 convolution with a stride corrupts memory on x86 for some batch sizes,
        # such as 3 and 5, and the gradient of a slice is five times slower.
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
    x: Tensor, stride: int, regularizer: Regularizer, name: str
) -> Tensor:
    """A padded 3x3 convolution of each channel, without bias."""
    return layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        # He's initialisation: Keras's counts all channels as inputs of each.
        depthwise_initializer=keras.initializers.TruncatedNormal(stddev=(2 / 9) ** 0.5),
        depthwise_regularizer=regularizer,
        name=name,
    )(x)


def norm_relu(
    x: Tensor, norm: Norm, name: str, max_value: float | None = None
) -> Tensor:
    """Batch normalisation `{name}_bn` and activation `{name}_relu`."""
    return layers.ReLU(max_value, name=f"{name}_relu")(norm(x, f"{name}_bn"))


def split_into_stages(blocks: Iterable[functools.partial]) -> list[list[Block]]:
    """Stages of blocks, which are partial functions with a `stride`.

    A resize goes before the first block without a stride that follows one with a
    stride, and the latter ends the stage before (paper, A.1).
    """
    stages: list[list[Block]] = []
    stride_before = None
    for block in blocks:
        stride = block.keywords["stride"]
        if stride_before is None or stride < stride_before:
            stages.append([])
        stages[-1].append(block)
        stride_before = stride
    return stages
