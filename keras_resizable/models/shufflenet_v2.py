"""ShuffleNetV2 (Ma et al., 2018, https://arxiv.org/abs/1807.11164) and ResizableNet."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import keras
from keras import layers

from keras_resizable.layers import ChannelShuffle
from keras_resizable.models.assemble import assemble
from keras_resizable.models.convolutions import (
    conv,
    depthwise_conv,
    norm_relu,
    split_into_stages,
)
from keras_resizable.models.options import IMAGENET, NetworkOptions, documented
from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.arguments import one_of

# For each width: filters of the groups and of the last convolution (table 5).
_WIDTHS = {
    0.5: ((48, 96, 192), 1024),
    1.0: ((116, 232, 464), 1024),
    1.5: ((176, 352, 704), 1024),
    2.0: ((244, 488, 976), 2048),
}


@documented
def ShuffleNetV2(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    width: float = 1.5,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ShuffleNetV2.

    At 224 px and width 1.5, FLOPs are 296 M (all 1.0), 213 M (all 0.9), 147 M (all 0.8)
    and 108 M (all 0.7). Each scale factor after the first adds 1.3 % to 3.53 M
    parameters. The paper reports top-1 by FLOPs, of which it counts more than
    multiply-adds of convolutions: 299 M 73.3, 251 M 72.2, 199 M 70.9, 147 M 69.8.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 3 stages.
        width: 0.5, 1.0, 1.5 or 2.0.
        {options}
    """
    stackwise_num_filters, last_filters = _WIDTHS[one_of("width", width, _WIDTHS)]
    return ShuffleNet(
        stackwise_num_units=(4, 8, 4),
        stackwise_num_filters=stackwise_num_filters,
        last_filters=last_filters,
        scales=scales,
        **(IMAGENET | {"name": "shufflenet_v2"} | options),
    )


@documented
def ResizableNet(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """ResizableNet: ShuffleNetV2's units with squeeze-and-excitation.

    The paper shows the architecture only in a figure without numbers (A.3). We
    therefore chose ShuffleNetV2's depth, a squeeze by 4, and widths that give the
    paper's FLOPs and parameters.

    | at 224 px, 1,000 classes | FLOPs | parameters | top-1 |
    |---|---|---|---|
    | ours, all 1.0 | 366 M | 6.72 M | not run |
    | paper | 365 M | 6.7 M | 77.8 |

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 3 stages.
        {options}
    """
    return ShuffleNet(
        stackwise_num_units=(4, 8, 4),
        stackwise_num_filters=(144, 360, 880),
        last_filters=2048,
        squeeze=4,
        scales=scales,
        **(IMAGENET | {"dropout": 0.5, "name": "resizable_net"} | options),
    )


def ShuffleNet(
    stackwise_num_units: Sequence[int],
    stackwise_num_filters: Sequence[int],
    last_filters: int,
    squeeze: int | None = None,
    stem_filters: int = 24,
    **kwargs: Any,
) -> ResizableNetwork:
    """A network of ShuffleNetV2's units with one stage per group.

    `squeeze` is the reduction of squeeze-and-excitation in each unit, None for units
    without it; `kwargs` go to `assemble`.
    """
    groups = zip(stackwise_num_units, stackwise_num_filters)
    first_unit, *units = (
        functools.partial(
            _unit,
            filters=filters,
            stride=2 if number == 1 else 1,
            squeeze=squeeze,
            name=f"stage{group}_unit{number}",
        )
        for group, (num_units, filters) in enumerate(groups, start=2)
        for number in range(1, num_units + 1)
    )
    stages = split_into_stages(units)
    stages[-1].append(functools.partial(_last_conv, filters=last_filters))
    stem = [functools.partial(_stem, filters=stem_filters), first_unit]
    return assemble(stem, stages, epsilon=1.001e-5, **kwargs)


def _stem(x, norm, regularizer, filters):
    x = conv(x, filters, 3, 2, regularizer, "conv1")
    x = norm_relu(x, norm, "conv1")
    return layers.MaxPooling2D(3, 2, padding="same", name="maxpool")(x)


def _unit(x, norm, regularizer, filters, stride, squeeze, name):
    """Convolves half of the channels, or with a stride all in two branches."""
    if stride == 1:
        shortcut, x = keras.ops.split(x, 2, axis=-1)
    else:
        shortcut = depthwise_conv(x, stride, regularizer, f"{name}_0_depthwise")
        shortcut = norm(shortcut, f"{name}_0_depthwise_bn")
        left = filters - filters // 2
        shortcut = conv(shortcut, left, 1, 1, regularizer, f"{name}_0_conv")
        shortcut = norm_relu(shortcut, norm, f"{name}_0")
    filters //= 2
    x = conv(x, filters, 1, 1, regularizer, f"{name}_1_conv")
    x = norm_relu(x, norm, f"{name}_1")
    x = depthwise_conv(x, stride, regularizer, f"{name}_2_depthwise")
    x = norm(x, f"{name}_2_bn")
    x = conv(x, filters, 1, 1, regularizer, f"{name}_3_conv")
    x = norm_relu(x, norm, f"{name}_3")
    if squeeze is not None:
        x = _excite(x, max(1, filters // squeeze), regularizer, f"{name}_se")
    x = layers.Concatenate(name=f"{name}_concat")([shortcut, x])
    return ChannelShuffle(2, name=f"{name}_shuffle")(x)


def _last_conv(x, norm, regularizer, filters):
    x = conv(x, filters, 1, 1, regularizer, "conv5")
    return norm_relu(x, norm, "conv5")


def _excite(x, squeezed, regularizer, name):
    """Squeeze-and-excitation (Hu et al., 2018, https://arxiv.org/abs/1709.01507)."""
    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    for filters, activation, part in (
        (squeezed, "relu", "squeeze"),
        (x.shape[-1], "sigmoid", "excite"),
    ):
        weights = layers.Conv2D(
            filters,
            1,
            activation=activation,
            kernel_initializer="he_normal",
            kernel_regularizer=regularizer,
            name=f"{name}_{part}",
        )(weights)
    return layers.Multiply(name=f"{name}_scale")([x, weights])
