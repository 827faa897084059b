"""MobileNetV2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381)."""

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
    drop_branch,
    drop_rates,
)
from keras_resizable.models.options import NetworkOptions, documented
from keras_resizable.network import ResizableNetwork

# Of each group: expansion, filters, blocks, stride of the first block (table 2).
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


_DEFAULTS: NetworkOptions = {
    "input_shape": (224, 224, 3),
    "classes": 1000,
    "name": "mobilenet_v2",
}


@documented
def MobileNetV2(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    width: float = 1.0,
    alpha: float | None = None,
    drop_path: float = 0.0,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable MobileNetV2.

    Layer by layer the same as `keras.applications.MobileNetV2`, whose weights
    `weights="imagenet"` loads. The paper trained it, but gives no accuracy.

    | at 224 px, 1,000 classes | FLOPs |
    |---|---|
    | all 1.0 | 301 M |
    | all 0.9 | 180 M |
    | all 0.8 | 87 M |
    | all 0.7 | 55 M |

    3.54 M parameters, of which each further scale factor adds 1.9 %.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 5 stages.
        width: What the number of filters of every layer is multiplied by; then it
            is rounded to a multiple of 8.
        alpha: The same, as `keras.applications` calls it.
        drop_path: Fraction of the images for which the last residual block leaves its
            branch out in training, in the largest sub-network only; less in those
            before, see `keras_resizable.layers.DropPath`.
        {options}

    Example:

    >>> import keras_resizable
    >>> network = keras_resizable.MobileNetV2(
    ...     scales=(1.0, 0.5), width=0.35, input_shape=(96, 96, 3), classes=3
    ... )
    >>> network.output_shape
    (None, 3)
    """
    width = width if alpha is None else alpha
    check_width("width" if alpha is None else "alpha", width)
    rates = drop_rates(drop_path, sum(num_blocks for _, _, num_blocks, _ in GROUPS))
    stages: list[list[Block]] = []
    number = 0
    for expansion, filters, num_blocks, first_stride in GROUPS:
        for position in range(num_blocks):
            stride = first_stride if position == 0 else 1
            # A resolution starts at the first block without a stride, but for
            # groups that go on at that of the group before.
            starts = number == 0 or (position == 1 and first_stride == 2)
            if starts:
                stages.append([])
            stages[-1].append(
                functools.partial(
                    block,
                    expansion=expansion,
                    filters=multiple_of_8(filters * width),
                    stride=stride,
                    drop_rate=rates[number],
                    prefix=f"block_{number}" if number else "expanded_conv",
                )
            )
            number += 1
    # Wider networks have a wider last layer; narrow ones keep theirs.
    last = functools.partial(last_conv, filters=multiple_of_8(1280 * max(1.0, width)))
    stages[-1].append(last)
    return assemble(
        [functools.partial(stem, filters=multiple_of_8(32 * width))],
        stages,
        scales=scales,
        **(_DEFAULTS | options),
        epsilon=1e-3,
        imagenet=functools.partial(keras.applications.MobileNetV2, alpha=width),
    )


def multiple_of_8(filters: float) -> int:
    """The nearest multiple of 8 that is not below nine tenths."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


def stem(
    x: keras.KerasTensor, norm: Norm, regularizer: Regularizer, filters: int
) -> keras.KerasTensor:
    x = conv(x, filters, 3, 2, regularizer, "Conv1")
    x = norm(x, "bn_Conv1")
    return layers.ReLU(6.0, name="Conv1_relu")(x)


def block(
    x: keras.KerasTensor,
    norm: Norm,
    regularizer: Regularizer,
    expansion: int,
    filters: int,
    stride: int,
    drop_rate: float,
    prefix: str,
) -> keras.KerasTensor:
    """Widens, convolves each channel, narrows without activation."""
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
        x = drop_branch(x, drop_rate, f"{prefix}_drop")
        x = layers.Add(name=f"{prefix}_add")([inputs, x])
    return x


def last_conv(
    x: keras.KerasTensor, norm: Norm, regularizer: Regularizer, filters: int
) -> keras.KerasTensor:
    x = conv(x, filters, 1, 1, regularizer, "Conv_1")
    x = norm(x, "Conv_1_bn")
    return layers.ReLU(6.0, name="out_relu")(x)
