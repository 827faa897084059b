"""Residual networks (He et al., 2016, https://arxiv.org/abs/1512.03385)."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

from keras import layers

from keras_resizable.models.assemble import assemble
from keras_resizable.models.convolutions import (
    Norm,
    Regularizer,
    Tensor,
    conv,
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


@documented
def ResNet20(
    scales: Iterable[float] = (1.0, 0.75, 0.5),
    *,
    width: float = 1.0,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-20, for images of about 32 pixels.

    He et al., section 4.2. Where a block changes the number of channels, its shortcut
    is a 1x1 convolution (option B there), a stock layer that every converter knows.

    At 32 px, FLOPs are 40.8 M (all 1.0), 17.2 M (all 0.75) and 5.9 M (all 0.5). Three
    scale factors add 2.2 % to 0.27 M parameters.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 3 stages.
        width: Multiplies the numbers of filters (16, 32, 64).
        {options}
    """
    return _small_resnet("resnet20", (3, 3, 3), scales, width, options)


def ResNet56(
    scales: Iterable[float] = (1.0, 0.75, 0.5),
    *,
    width: float = 1.0,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-56: a `ResNet20` with three times the depth.

    Arguments are as in `ResNet20`. At 32 px, FLOPs are 125.7 M (all 1.0), 49.2 M (all
    0.75) and 15.2 M (all 0.5). Three scale factors add 1.9 % to 0.86 M parameters.
    """
    return _small_resnet("resnet56", (9, 9, 9), scales, width, options)


@documented
def ResNet50(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-50, with the stride in the 3x3 convolutions.

    | at 224 px, 1,000 classes | FLOPs | paper, top-1 (fine-tuned) |
    |---|---|---|
    | all 1.0 | 4.09 G | 77.1 |
    | all 0.9 | 2.82 G | 76.6 (77.4) |
    | all 0.7 | 1.13 G | 72.3 (72.8) |

    Four scale factors add 1.2 % to 25.6 M parameters.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 4 stages.
        {options}

    Example:

    >>> import keras_resizable
    >>> network = keras_resizable.ResNet50(scales=(1.0, 0.5), classes=3)
    >>> network.space.size
    16
    """
    return _imagenet_resnet("resnet50", (3, 4, 6, 3), scales, options)


def ResNet101(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-101: a deeper `ResNet50`.

    Arguments are as in `ResNet50`. At 224 px, FLOPs are 7.80 G (all 1.0), 5.11 G (all
    0.9) and 1.60 G (all 0.7). Four scale factors add 1.4 % to 44.7 M parameters.
    """
    return _imagenet_resnet("resnet101", (3, 4, 23, 3), scales, options)


def ResNet152(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-152: a deeper `ResNet50`.

    Arguments are as in `ResNet50`. At 224 px, FLOPs are 11.51 G (all 1.0), 7.45 G (all
    0.9) and 2.18 G (all 0.7). Four scale factors add 1.5 % to 60.3 M parameters.
    """
    return _imagenet_resnet("resnet152", (3, 8, 36, 3), scales, options)


def _small_resnet(name, stackwise_num_blocks, scales, width, options):
    width = checked_width(width)
    return ResNet(
        small_image_stem,
        basic_block,
        stackwise_num_blocks,
        stackwise_num_filters=[max(1, round(width * n)) for n in (16, 32, 64)],
        scales=scales,
        **({"input_shape": (32, 32, 3), "classes": 10, "name": name} | options),
    )


def _imagenet_resnet(name, stackwise_num_blocks, scales, options):
    return ResNet(
        imagenet_stem,
        bottleneck_block,
        stackwise_num_blocks,
        stackwise_num_filters=(64, 128, 256, 512),
        scales=scales,
        **(IMAGENET | {"name": name} | options),
    )


def ResNet(
    stem: Callable[..., Tensor],
    block: Callable[..., Tensor],
    stackwise_num_blocks: Sequence[int],
    stackwise_num_filters: Sequence[int],
    **kwargs: Any,
) -> ResizableNetwork:
    """A residual network with one stage per group; `kwargs` go to `assemble`.

    The stem has as many filters as the first group.
    """
    groups = zip(stackwise_num_blocks, stackwise_num_filters)
    blocks = [
        functools.partial(
            block,
            filters=filters,
            stride=2 if group > 2 and number == 1 else 1,
            name=f"conv{group}_block{number}",
        )
        for group, (num_blocks, filters) in enumerate(groups, start=2)
        for number in range(1, num_blocks + 1)
    ]
    stem = functools.partial(stem, filters=stackwise_num_filters[0])
    return assemble([stem], split_into_stages(blocks), epsilon=1.001e-5, **kwargs)


def small_image_stem(
    x: Tensor, norm: Norm, regularizer: Regularizer, filters: int
) -> Tensor:
    """A 3x3 convolution."""
    x = conv(x, filters, 3, 1, regularizer, "conv1_conv")
    return norm_relu(x, norm, "conv1")


def imagenet_stem(
    x: Tensor, norm: Norm, regularizer: Regularizer, filters: int
) -> Tensor:
    """A 7x7 convolution and a pooling, both with a stride of 2."""
    x = conv(x, filters, 7, 2, regularizer, "conv1_conv")
    x = norm_relu(x, norm, "conv1")
    return layers.MaxPooling2D(3, 2, padding="same", name="pool1_pool")(x)


def _block(x, norm, regularizer, filters, stride, name, *, is_bottleneck):
    """A shortcut and two 3x3 convolutions, or a 1x1, a 3x3 and a wider 1x1 one."""
    convolutions = [(filters, 3, stride), (filters, 3, 1)]
    if is_bottleneck:
        convolutions = [(filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1)]
    shortcut, out_filters = x, convolutions[-1][0]
    if x.shape[-1] != out_filters or stride > 1:
        shortcut = conv(x, out_filters, 1, stride, regularizer, f"{name}_0_conv")
        shortcut = norm(shortcut, f"{name}_0_bn")
    for number, (width, size, step) in enumerate(convolutions, start=1):
        x = conv(x, width, size, step, regularizer, f"{name}_{number}_conv")
        if number < len(convolutions):
            x = norm_relu(x, norm, f"{name}_{number}")
        else:
            x = norm(x, f"{name}_{number}_bn")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_out")(x)


basic_block = functools.partial(_block, is_bottleneck=False)
bottleneck_block = functools.partial(_block, is_bottleneck=True)
