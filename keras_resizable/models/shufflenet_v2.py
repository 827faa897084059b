"""ShuffleNetV2 (Ma et al., 2018, https://arxiv.org/abs/1807.11164)."""

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

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
from keras_resizable.network import ResizableNetwork

# Of each width: filters of the groups, and of the last convolution (table 5).
WIDTHS = {
    0.5: ((48, 96, 192), 1024),
    1.0: ((116, 232, 464), 1024),
    1.5: ((176, 352, 704), 1024),
    2.0: ((244, 488, 976), 2048),
}


def ShuffleNetV2(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    width: float = 1.5,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    pooling: str | None = None,
    dropout: float = 0.0,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    kernel_regularizer: Regularizer = None,
    synchronized: bool = False,
    scale_aware: bool = True,
    name: str = "shufflenet_v2",
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
        input_shape: `(height, width, channels)`.
        classes: Number of classes.
        include_top: Whether the head ends in a classifier.
        weights: None for random ones, the path of a `.weights.h5` or
            `.keras` file of such a network.
        pooling: What the head does when `include_top=False`: None for feature
            maps, `"avg"` or `"max"`.
        dropout: Fraction of the classifier's inputs that training drops.
        classifier_activation: Activation of the classifier, None for logits.
        kernel_regularizer: Regularizer of all kernels, such as
            `keras.regularizers.L2(1e-4)`.
        synchronized: Whether replicas share the statistics of a batch.
        scale_aware: Whether each scale factor has batch normalisation of its own.
            If not, all share one row: for ablations (paper, Table 5).
        name: Name of the network.

    Returns:
        A `ResizableNetwork`.

    Raises:
        ValueError: If an argument is not valid.
    """
    if width not in WIDTHS:
        raise ValueError(f"`width` must be one of {tuple(WIDTHS)}. Received: {width!r}")
    stackwise_num_filters, last_filters = WIDTHS[width]
    return ShuffleNet(
        stackwise_num_units=(4, 8, 4),
        stackwise_num_filters=stackwise_num_filters,
        last_filters=last_filters,
        scales=scales,
        input_shape=input_shape,
        classes=classes,
        include_top=include_top,
        weights=weights,
        pooling=pooling,
        dropout=dropout,
        classifier_activation=classifier_activation,
        kernel_regularizer=kernel_regularizer,
        synchronized=synchronized,
        scale_aware=scale_aware,
        name=name,
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
