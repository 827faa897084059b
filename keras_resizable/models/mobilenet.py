"""MobileNetV1 (Howard et al., 2017, https://arxiv.org/abs/1704.04861) and V2.

MobileNetV2 is by Sandler et al., 2018, https://arxiv.org/abs/1801.04381.
"""

import functools
from collections.abc import Iterable
from typing import Unpack

import keras
from keras import layers

from keras_resizable.models.assemble import assemble
from keras_resizable.models.convolutions import (
    conv,
    depthwise_conv,
    norm_relu,
    split_into_stages,
)
from keras_resizable.models.options import (
    IMAGENET,
    NetworkOptions,
    checked_width,
    documented,
)
from keras_resizable.network import ResizableNetwork

# Filters and stride of each block of MobileNetV1 (table 1).
_V1_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)),
)
# For each group of MobileNetV2: expansion, filters, number of blocks, stride of the
# first block (table 2).
_V2_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@documented
def MobileNetV1(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    width: float = 1.0,
    alpha: float | None = None,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable MobileNetV1.

    It has the layers of `keras.applications.MobileNet`, whose weights
    `weights="imagenet"` loads.

    At 224 px, FLOPs are 569 M (all 1.0), 333 M (all 0.9), 159 M (all 0.8) and 93 M (all
    0.7). Each scale factor after the first adds 1.0 % to 4.25 M parameters. The paper
    reports top-1 by FLOPs (in brackets after fine-tuning): 569 M 72.0, 462 M 71.3, 391
    M 70.7 (71.9), 291 M 69.5 (70.9).

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 5 stages.
        width: Multiplies the number of filters of every layer.
        alpha: Same as `width`, as `keras.applications` calls it.
        {options}
    """
    width = checked_width(width, alpha)
    blocks = [
        functools.partial(
            _v1_block,
            filters=max(1, int(filters * width)),
            stride=stride,
            number=number,
        )
        for number, (filters, stride) in enumerate(_V1_BLOCKS, start=1)
    ]
    return assemble(
        [functools.partial(_v1_stem, filters=max(1, int(32 * width)))],
        split_into_stages(blocks),
        scales=scales,
        **(IMAGENET | {"name": "mobilenet_v1"} | options),
        epsilon=1e-3,
        imagenet=functools.partial(keras.applications.MobileNet, alpha=width),
    )


def _v1_stem(x, norm, regularizer, filters):
    x = conv(x, filters, 3, 2, regularizer, "conv1")
    return norm_relu(x, norm, "conv1", 6.0)


def _v1_block(x, norm, regularizer, filters, stride, number):
    """A 3x3 convolution of each channel, then a 1x1 convolution of all."""
    x = depthwise_conv(x, stride, regularizer, f"conv_dw_{number}")
    x = norm_relu(x, norm, f"conv_dw_{number}", 6.0)
    x = conv(x, filters, 1, 1, regularizer, f"conv_pw_{number}")
    return norm_relu(x, norm, f"conv_pw_{number}", 6.0)


@documented
def MobileNetV2(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    width: float = 1.0,
    alpha: float | None = None,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable MobileNetV2.

    It has the layers of `keras.applications.MobileNetV2`, whose weights
    `weights="imagenet"` loads. The paper trained it, but reports no accuracy.

    At 224 px, FLOPs are 301 M (all 1.0), 180 M (all 0.9), 87 M (all 0.8) and 55 M (all
    0.7). Each scale factor after the first adds 1.9 % to 3.54 M parameters.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 5 stages.
        width: Multiplies the number of filters of every layer; the product is rounded
            to a multiple of 8.
        alpha: Same as `width`, as `keras.applications` calls it.
        {options}

    Example:

    >>> import keras_resizable
    >>> network = keras_resizable.MobileNetV2(
    ...     scales=(1.0, 0.5), width=0.35, input_shape=(96, 96, 3), classes=3
    ... )
    >>> network.output_shape
    (None, 3)
    """
    width = checked_width(width, alpha)
    blocks: list[functools.partial] = []
    for expansion, filters, num_blocks, first_stride in _V2_GROUPS:
        for stride in (first_stride, *[1] * (num_blocks - 1)):
            number = len(blocks)
            blocks.append(
                functools.partial(
                    _v2_block,
                    expansion=expansion,
                    filters=_multiple_of_8(filters * width),
                    stride=stride,
                    prefix=f"block_{number}" if number else "expanded_conv",
                )
            )
    stages = split_into_stages(blocks)
    # Only networks wider than 1.0 scale the last layer.
    last_filters = _multiple_of_8(1280 * max(1.0, width))
    stages[-1].append(functools.partial(_v2_last_conv, filters=last_filters))
    return assemble(
        [functools.partial(_v2_stem, filters=_multiple_of_8(32 * width))],
        stages,
        scales=scales,
        **(IMAGENET | {"name": "mobilenet_v2"} | options),
        epsilon=1e-3,
        imagenet=functools.partial(keras.applications.MobileNetV2, alpha=width),
    )


def _multiple_of_8(filters):
    """The nearest multiple of 8 that is at least nine tenths of `filters`."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


def _v2_stem(x, norm, regularizer, filters):
    x = conv(x, filters, 3, 2, regularizer, "Conv1")
    return layers.ReLU(6.0, name="Conv1_relu")(norm(x, "bn_Conv1"))


def _v2_block(x, norm, regularizer, expansion, filters, stride, prefix):
    """Widens, convolves each channel, and narrows without activation."""
    inputs = x
    if expansion > 1:
        x = conv(x, expansion * x.shape[-1], 1, 1, regularizer, f"{prefix}_expand")
        x = norm(x, f"{prefix}_expand_BN")
        x = layers.ReLU(6.0, name=f"{prefix}_expand_relu")(x)
    x = depthwise_conv(x, stride, regularizer, f"{prefix}_depthwise")
    x = norm(x, f"{prefix}_depthwise_BN")
    x = layers.ReLU(6.0, name=f"{prefix}_depthwise_relu")(x)
    x = conv(x, filters, 1, 1, regularizer, f"{prefix}_project")
    x = norm(x, f"{prefix}_project_BN")
    if stride == 1 and inputs.shape[-1] == filters:
        x = layers.Add(name=f"{prefix}_add")([inputs, x])
    return x


def _v2_last_conv(x, norm, regularizer, filters):
    x = conv(x, filters, 1, 1, regularizer, "Conv_1")
    return layers.ReLU(6.0, name="out_relu")(norm(x, "Conv_1_bn"))
