"""MobileNetV1 (Howard et al., 2017, https://arxiv.org/abs/1704.04861)."""

import functools
from collections.abc import Iterable
from typing import Unpack

import keras
from keras import layers

from keras_resizable.models.assemble import assemble, check_width
from keras_resizable.models.convolutions import (
    Block,
    Norm,
    Regularizer,
    conv,
    depthwise_conv,
)
from keras_resizable.models.options import NetworkOptions, documented
from keras_resizable.network import ResizableNetwork

# Filters of the blocks of each group. The first block of a group has a stride,
# but for the first group: there it is the stem that has it.
STACKWISE_NUM_FILTERS = (
    (64,),
    (128, 128),
    (256, 256),
    (512, 512, 512, 512, 512, 512),
    (1024, 1024),
)


_DEFAULTS: NetworkOptions = {
    "input_shape": (224, 224, 3),
    "classes": 1000,
    "name": "mobilenet_v1",
}


@documented
def MobileNetV1(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    width: float = 1.0,
    alpha: float | None = None,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable MobileNetV1.

    Layer by layer the same as `keras.applications.MobileNet`, whose weights
    `weights="imagenet"` loads.

    | at 224 px, 1,000 classes | FLOPs |
    |---|---|
    | all 1.0 | 569 M |
    | all 0.9 | 333 M |
    | all 0.8 | 159 M |
    | all 0.7 | 93 M |

    4.25 M parameters, of which each further scale factor adds 1.0 %. The paper
    gives the top-1 of sub-networks by their FLOPs (fine-tuned): 569 M 72.0,
    462 M 71.3, 391 M 70.7 (71.9), 291 M 69.5 (70.9).

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 5 stages.
        width: What the number of filters of every layer is multiplied by.
        alpha: The same, as `keras.applications` calls it.
        {options}
    """
    width = width if alpha is None else alpha
    check_width("width" if alpha is None else "alpha", width)
    stages: list[list[Block]] = []
    number = 0
    for group, stack in enumerate(STACKWISE_NUM_FILTERS):
        for position, filters in enumerate(stack):
            number += 1
            stride = 2 if group > 0 and position == 0 else 1
            if position == (0 if group == 0 else 1):
                stages.append([])
            stages[-1].append(
                functools.partial(
                    block,
                    filters=max(1, int(filters * width)),
                    stride=stride,
                    number=number,
                )
            )
    return assemble(
        [functools.partial(stem, filters=max(1, int(32 * width)))],
        stages,
        scales=scales,
        **(_DEFAULTS | options),
        epsilon=1e-3,
        imagenet=functools.partial(keras.applications.MobileNet, alpha=width),
    )


def stem(
    x: keras.KerasTensor, norm: Norm, regularizer: Regularizer, filters: int
) -> keras.KerasTensor:
    x = conv(x, filters, 3, 2, regularizer, "conv1")
    x = norm(x, "conv1_bn")
    return layers.ReLU(6.0, name="conv1_relu")(x)


def block(
    x: keras.KerasTensor,
    norm: Norm,
    regularizer: Regularizer,
    filters: int,
    stride: int,
    number: int,
) -> keras.KerasTensor:
    """A 3x3 convolution of each channel, then a 1x1 of all."""
    x = depthwise_conv(x, stride, regularizer, f"conv_dw_{number}")
    x = norm(x, f"conv_dw_{number}_bn")
    x = layers.ReLU(6.0, name=f"conv_dw_{number}_relu")(x)
    x = conv(x, filters, 1, 1, regularizer, f"conv_pw_{number}")
    x = norm(x, f"conv_pw_{number}_bn")
    return layers.ReLU(6.0, name=f"conv_pw_{number}_relu")(x)
