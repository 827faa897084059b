"""What residual networks are made of (He et al., https://arxiv.org/abs/1512.03385)."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from keras_resizable.models.assemble import assemble
from keras_resizable.models.convolutions import (
    Block,
    Norm,
    Regularizer,
    conv,
    drop_branch,
    drop_rates,
)
from keras_resizable.network import ResizableNetwork


def ResNet(
    stem: Callable[..., keras.KerasTensor],
    block: Callable[..., keras.KerasTensor],
    stackwise_num_blocks: Sequence[int],
    stackwise_num_filters: Sequence[int],
    drop_path: float = 0.0,
    **kwargs: Any,
) -> ResizableNetwork:
    """A residual network of any depth and width.

    Args:
        stem: `small_image_stem` or `imagenet_stem`.
        block: `basic_block` or `bottleneck_block`.
        stackwise_num_blocks: Number of blocks of each group.
        stackwise_num_filters: Number of filters of each group. The stem has
            those of the first.
        drop_path: Fraction of the images for which the last block leaves its branch out
            in training, in the largest sub-network only; less in those before, see
            `keras_resizable.layers.DropPath`.
        **kwargs: Those of `keras_resizable.models.assemble.assemble`.

    Returns:
        A `ResizableNetwork` with one stage per group.
    """
    rates = iter(drop_rates(drop_path, sum(stackwise_num_blocks)))
    stages: list[list[Block]] = []
    groups = zip(stackwise_num_blocks, stackwise_num_filters)
    for group, (num_blocks, filters) in enumerate(groups):
        for number in range(num_blocks):
            stride = 2 if group > 0 and number == 0 else 1
            # A resize goes before the first block of a group that has no
            # stride (paper, A.1). The one with a stride ends the stage before.
            if number == (0 if group == 0 else 1):
                stages.append([])
            stages[-1].append(
                functools.partial(
                    block,
                    filters=filters,
                    stride=stride,
                    drop_rate=next(rates),
                    name=f"conv{group + 2}_block{number + 1}",
                )
            )
    stem = functools.partial(stem, filters=stackwise_num_filters[0])
    return assemble([stem], stages, epsilon=1.001e-5, **kwargs)


def small_image_stem(
    x: keras.KerasTensor, norm: Norm, regularizer: Regularizer, filters: int
) -> keras.KerasTensor:
    x = conv(x, filters, 3, 1, regularizer, "conv1_conv")
    x = norm(x, "conv1_bn")
    return layers.ReLU(name="conv1_relu")(x)


def imagenet_stem(
    x: keras.KerasTensor, norm: Norm, regularizer: Regularizer, filters: int
) -> keras.KerasTensor:
    x = conv(x, filters, 7, 2, regularizer, "conv1_conv")
    x = norm(x, "conv1_bn")
    x = layers.ReLU(name="conv1_relu")(x)
    return layers.MaxPooling2D(3, 2, padding="same", name="pool1_pool")(x)


def basic_block(
    x: keras.KerasTensor,
    norm: Norm,
    regularizer: Regularizer,
    filters: int,
    stride: int,
    drop_rate: float,
    name: str,
) -> keras.KerasTensor:
    """Two 3x3 convolutions and a shortcut."""
    shortcut = _shortcut(x, norm, regularizer, filters, stride, name)
    x = conv(x, filters, 3, stride, regularizer, f"{name}_1_conv")
    x = norm(x, f"{name}_1_bn")
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = conv(x, filters, 3, 1, regularizer, f"{name}_2_conv")
    x = norm(x, f"{name}_2_bn")
    x = drop_branch(x, drop_rate, f"{name}_drop")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_out")(x)


def bottleneck_block(
    x: keras.KerasTensor,
    norm: Norm,
    regularizer: Regularizer,
    filters: int,
    stride: int,
    drop_rate: float,
    name: str,
) -> keras.KerasTensor:
    """A 1x1, a 3x3 and a four times wider 1x1 convolution and a shortcut."""
    shortcut = _shortcut(x, norm, regularizer, 4 * filters, stride, name)
    x = conv(x, filters, 1, 1, regularizer, f"{name}_1_conv")
    x = norm(x, f"{name}_1_bn")
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = conv(x, filters, 3, stride, regularizer, f"{name}_2_conv")
    x = norm(x, f"{name}_2_bn")
    x = layers.ReLU(name=f"{name}_2_relu")(x)
    x = conv(x, 4 * filters, 1, 1, regularizer, f"{name}_3_conv")
    x = norm(x, f"{name}_3_bn")
    x = drop_branch(x, drop_rate, f"{name}_drop")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_out")(x)


def _shortcut(x, norm, regularizer, filters, stride, name):
    if x.shape[-1] == filters and stride == 1:
        return x
    x = conv(x, filters, 1, stride, regularizer, f"{name}_0_conv")
    return norm(x, f"{name}_0_bn")
