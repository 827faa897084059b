"""Residual networks (He et al., 2016, https://arxiv.org/abs/1512.03385)."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
from keras import layers

from keras_resizable.models.assemble import assemble, check_width
from keras_resizable.models.convolutions import (
    Block,
    Norm,
    Regularizer,
    conv,
    drop_branch,
    drop_rates,
)
from keras_resizable.network import ResizableNetwork


def ResNet20(
    scales: Iterable[float] = (1.0, 0.75, 0.5),
    *,
    width: float = 1.0,
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    classes: int = 10,
    name: str = "resnet20",
    **kwargs: Any,
) -> ResizableNetwork:
    """A resizable ResNet-20, for images of about 32 pixels.

    He et al., section 4.2. Where a block changes the number of channels its
    shortcut is a 1x1 convolution (option B there), which unlike zero padding is
    made of stock layers that every converter knows.

    | at 32 px, 10 classes | FLOPs |
    |---|---|
    | all 1.0 | 40.8 M |
    | all 0.75 | 17.2 M |
    | all 0.5 | 5.9 M |

    0.27 M parameters, of which three scale factors add 2.2 %.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 3 stages.
        width: What the numbers of filters (16, 32, 64) are multiplied by.
        input_shape: `(height, width, channels)`.
        classes: Number of classes.
        name: Name of the network.
        **kwargs: `include_top`, `weights`, `pooling`, `dropout` and
            `classifier_activation` as in `keras.applications`,
            `kernel_regularizer` and `synchronized`; see
            `keras_resizable.models.assemble.assemble`.

    Returns:
        A `ResizableNetwork`.
    """
    return _small_resnet(
        (3, 3, 3),
        scales,
        width=width,
        input_shape=input_shape,
        classes=classes,
        name=name,
        **kwargs,
    )


def ResNet56(
    scales: Iterable[float] = (1.0, 0.75, 0.5), *, name: str = "resnet56", **kwargs: Any
) -> ResizableNetwork:
    """A resizable ResNet-56: a `ResNet20` three times as deep.

    | at 32 px, 10 classes | FLOPs |
    |---|---|
    | all 1.0 | 125.7 M |
    | all 0.75 | 49.2 M |
    | all 0.5 | 15.2 M |

    0.86 M parameters, of which three scale factors add 1.9 %. Arguments and result are
    those of `ResNet20`.
    """
    return _small_resnet((9, 9, 9), scales, name=name, **kwargs)


def ResNet50(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "resnet50",
    **kwargs: Any,
) -> ResizableNetwork:
    """A resizable ResNet-50, with the stride in the 3x3 convolutions.

    | at 224 px, 1,000 classes | FLOPs | paper, top-1 (fine-tuned) |
    |---|---|---|
    | all 1.0 | 4.09 G | 77.1 |
    | all 0.9 | 2.82 G | 76.6 (77.4) |
    | all 0.7 | 1.13 G | 72.3 (72.8) |

    25.6 M parameters, of which four scale factors add 1.2 %.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 4 stages.
        input_shape: `(height, width, channels)`.
        classes: Number of classes.
        name: Name of the network.
        **kwargs: `include_top`, `weights`, `pooling`, `dropout` and
            `classifier_activation` as in `keras.applications`,
            `kernel_regularizer` and `synchronized`; see
            `keras_resizable.models.assemble.assemble`.

    Returns:
        A `ResizableNetwork`.
    """
    return _imagenet_resnet(
        (3, 4, 6, 3),
        scales,
        input_shape=input_shape,
        classes=classes,
        name=name,
        **kwargs,
    )


def ResNet101(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    name: str = "resnet101",
    **kwargs: Any,
) -> ResizableNetwork:
    """A resizable ResNet-101: a deeper `ResNet50`.

    | at 224 px, 1,000 classes | FLOPs |
    |---|---|
    | all 1.0 | 7.80 G |
    | all 0.9 | 5.11 G |
    | all 0.7 | 1.60 G |

    44.7 M parameters, of which four scale factors add 1.4 %. Arguments and result are
    those of `ResNet50`.
    """
    return _imagenet_resnet((3, 4, 23, 3), scales, name=name, **kwargs)


def ResNet152(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    name: str = "resnet152",
    **kwargs: Any,
) -> ResizableNetwork:
    """A resizable ResNet-152: a deeper `ResNet50`.

    | at 224 px, 1,000 classes | FLOPs |
    |---|---|
    | all 1.0 | 11.51 G |
    | all 0.9 | 7.45 G |
    | all 0.7 | 2.18 G |

    60.3 M parameters, of which four scale factors add 1.5 %. Arguments and result are
    those of `ResNet50`.
    """
    return _imagenet_resnet((3, 8, 36, 3), scales, name=name, **kwargs)


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
        drop_path: Part of the images for which the last block leaves its branch out
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


def _small_resnet(
    stackwise_num_blocks,
    scales,
    *,
    width=1.0,
    input_shape=(32, 32, 3),
    classes=10,
    **kwargs,
):
    check_width("width", width)
    return ResNet(
        small_image_stem,
        basic_block,
        stackwise_num_blocks,
        stackwise_num_filters=[max(1, round(width * n)) for n in (16, 32, 64)],
        scales=scales,
        input_shape=input_shape,
        classes=classes,
        **kwargs,
    )


def _imagenet_resnet(
    stackwise_num_blocks, scales, *, input_shape=(224, 224, 3), classes=1000, **kwargs
):
    return ResNet(
        imagenet_stem,
        bottleneck_block,
        stackwise_num_blocks,
        stackwise_num_filters=(64, 128, 256, 512),
        scales=scales,
        input_shape=input_shape,
        classes=classes,
        **kwargs,
    )


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
