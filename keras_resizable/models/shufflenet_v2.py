"""ShuffleNetV2 (Ma et al., 2018, https://arxiv.org/abs/1807.11164)."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import keras
from keras import layers

from keras_resizable.layers import ChannelShuffle
from keras_resizable.models.assemble import assemble
from keras_resizable.models.convolutions import (
    Block,
    Norm,
    Regularizer,
    conv,
    depthwise_conv,
)
from keras_resizable.models.options import NetworkOptions, documented
from keras_resizable.network import ResizableNetwork

# Of each width: filters of the groups, and of the last convolution (table 5).
WIDTHS = {
    0.5: ((48, 96, 192), 1024),
    1.0: ((116, 232, 464), 1024),
    1.5: ((176, 352, 704), 1024),
    2.0: ((244, 488, 976), 2048),
}


_DEFAULTS: NetworkOptions = {
    "input_shape": (224, 224, 3),
    "classes": 1000,
    "name": "shufflenet_v2",
}


@documented
def ShuffleNetV2(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    width: float = 1.5,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ShuffleNetV2.

    | at 224 px, 1,000 classes, width 1.5 | FLOPs |
    |---|---|
    | all 1.0 | 296 M |
    | all 0.9 | 213 M |
    | all 0.8 | 147 M |
    | all 0.7 | 108 M |

    3.53 M parameters, of which each further scale factor adds 1.3 %. The paper
    gives the top-1 of sub-networks by their FLOPs: 299 M (it counts more than
    multiply-adds of convolutions) 73.3, 251 M 72.2, 199 M 70.9, 147 M 69.8.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 3 stages.
        width: 0.5, 1.0, 1.5 or 2.0.
        {options}
    """
    if width not in WIDTHS:
        raise ValueError(f"`width` must be one of {tuple(WIDTHS)}. Received: {width!r}")
    stackwise_num_filters, last_filters = WIDTHS[width]
    return ShuffleNet(
        stackwise_num_units=(4, 8, 4),
        stackwise_num_filters=stackwise_num_filters,
        last_filters=last_filters,
        scales=scales,
        **(_DEFAULTS | options),
    )


def ShuffleNet(
    stackwise_num_units: Sequence[int],
    stackwise_num_filters: Sequence[int],
    last_filters: int,
    squeeze: int | None = None,
    stem_filters: int = 24,
    **kwargs: Any,
) -> ResizableNetwork:
    """A network of ShuffleNetV2's units, of any depth and width.

    Args:
        stackwise_num_units: Number of units of each group.
        stackwise_num_filters: Number of filters of each group, even.
        last_filters: Number of filters of the last convolution.
        squeeze: None, or by how much squeeze-and-excitation narrows the filters
            of each unit's branch.
        stem_filters: Number of filters of the first convolution.
        **kwargs: Those of `keras_resizable.models.assemble.assemble`.

    Returns:
        A `ResizableNetwork` with one stage per group.
    """
    before: list[Block] = [functools.partial(stem, filters=stem_filters)]
    stages: list[list[Block]] = []
    groups = zip(stackwise_num_units, stackwise_num_filters)
    for group, (num_units, filters) in enumerate(groups):
        options: dict[str, Any] = {"filters": filters, "squeeze": squeeze}
        name = f"stage{group + 2}"
        # The unit with a stride ends the stage before.
        (stages[-1] if stages else before).append(
            functools.partial(strided_unit, name=f"{name}_unit1", **options)
        )
        stages.append(
            [
                functools.partial(unit, name=f"{name}_unit{number}", **options)
                for number in range(2, num_units + 1)
            ]
        )
    stages[-1].append(functools.partial(last_conv, filters=last_filters))
    return assemble(before, stages, epsilon=1.001e-5, **kwargs)


def stem(
    x: keras.KerasTensor, norm: Norm, regularizer: Regularizer, filters: int
) -> keras.KerasTensor:
    x = conv(x, filters, 3, 2, regularizer, "conv1")
    x = norm(x, "conv1_bn")
    x = layers.ReLU(name="conv1_relu")(x)
    return layers.MaxPooling2D(3, 2, padding="same", name="maxpool")(x)


def unit(
    x: keras.KerasTensor,
    norm: Norm,
    regularizer: Regularizer,
    filters: int,
    squeeze: int | None,
    name: str,
) -> keras.KerasTensor:
    """Half of the channels pass, half are convolved; both are shuffled."""
    passed, x = keras.ops.split(x, 2, axis=-1)
    x = _branch(x, norm, regularizer, filters // 2, 1, squeeze, name)
    x = layers.Concatenate(name=f"{name}_concat")([passed, x])
    return ChannelShuffle(2, name=f"{name}_shuffle")(x)


def strided_unit(
    x: keras.KerasTensor,
    norm: Norm,
    regularizer: Regularizer,
    filters: int,
    squeeze: int | None,
    name: str,
) -> keras.KerasTensor:
    """Both branches convolve all channels, with a stride of 2."""
    shortcut = depthwise_conv(x, 2, regularizer, f"{name}_0_depthwise")
    shortcut = norm(shortcut, f"{name}_0_depthwise_bn")
    left = filters - filters // 2
    shortcut = conv(shortcut, left, 1, 1, regularizer, f"{name}_0_conv")
    shortcut = norm(shortcut, f"{name}_0_bn")
    shortcut = layers.ReLU(name=f"{name}_0_relu")(shortcut)
    x = _branch(x, norm, regularizer, filters // 2, 2, squeeze, name)
    x = layers.Concatenate(name=f"{name}_concat")([shortcut, x])
    return ChannelShuffle(2, name=f"{name}_shuffle")(x)


def last_conv(
    x: keras.KerasTensor, norm: Norm, regularizer: Regularizer, filters: int
) -> keras.KerasTensor:
    x = conv(x, filters, 1, 1, regularizer, "conv5")
    x = norm(x, "conv5_bn")
    return layers.ReLU(name="conv5_relu")(x)


def _branch(x, norm, regularizer, filters, stride, squeeze, name):
    x = conv(x, filters, 1, 1, regularizer, f"{name}_1_conv")
    x = norm(x, f"{name}_1_bn")
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = depthwise_conv(x, stride, regularizer, f"{name}_2_depthwise")
    x = norm(x, f"{name}_2_bn")
    x = conv(x, filters, 1, 1, regularizer, f"{name}_3_conv")
    x = norm(x, f"{name}_3_bn")
    x = layers.ReLU(name=f"{name}_3_relu")(x)
    if squeeze is not None:
        x = _excite(x, max(1, filters // squeeze), regularizer, f"{name}_se")
    return x


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
