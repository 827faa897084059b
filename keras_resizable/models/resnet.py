"""Residual networks (He et al., 2016, https://arxiv.org/abs/1512.03385)."""

from collections.abc import Iterable
from typing import Unpack

from keras_resizable.models.assemble import check_width
from keras_resizable.models.options import NetworkOptions, documented
from keras_resizable.models.residual import (
    ResNet,
    basic_block,
    bottleneck_block,
    imagenet_stem,
    small_image_stem,
)
from keras_resizable.network import ResizableNetwork


@documented
def ResNet20(
    scales: Iterable[float] = (1.0, 0.75, 0.5),
    *,
    width: float = 1.0,
    drop_path: float = 0.0,
    **options: Unpack[NetworkOptions],
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
        drop_path: Fraction of the images for which the last residual block leaves its
            branch out in training, in the largest sub-network only; less in those
            before, see `keras_resizable.layers.DropPath`.
        {options}
    """
    return _small_resnet("resnet20", (3, 3, 3), scales, width, drop_path, options)


@documented
def ResNet56(
    scales: Iterable[float] = (1.0, 0.75, 0.5),
    *,
    width: float = 1.0,
    drop_path: float = 0.0,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-56: a `ResNet20` three times as deep.

    | at 32 px, 10 classes | FLOPs |
    |---|---|
    | all 1.0 | 125.7 M |
    | all 0.75 | 49.2 M |
    | all 0.5 | 15.2 M |

    0.86 M parameters, of which three scale factors add 1.9 %. Arguments are
    those of `ResNet20`.
    """
    return _small_resnet("resnet56", (9, 9, 9), scales, width, drop_path, options)


@documented
def ResNet50(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    drop_path: float = 0.0,
    **options: Unpack[NetworkOptions],
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
        drop_path: Fraction of the images for which the last residual block leaves its
            branch out in training, in the largest sub-network only; less in those
            before, see `keras_resizable.layers.DropPath`.
        {options}

    Example:

    >>> import keras_resizable
    >>> network = keras_resizable.ResNet50(scales=(1.0, 0.5), classes=3)
    >>> network.space.size
    16
    """
    return _imagenet_resnet("resnet50", (3, 4, 6, 3), scales, drop_path, options)


@documented
def ResNet101(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    drop_path: float = 0.0,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-101: a deeper `ResNet50`.

    | at 224 px, 1,000 classes | FLOPs |
    |---|---|
    | all 1.0 | 7.80 G |
    | all 0.9 | 5.11 G |
    | all 0.7 | 1.60 G |

    44.7 M parameters, of which four scale factors add 1.4 %. Arguments are
    those of `ResNet50`.
    """
    return _imagenet_resnet("resnet101", (3, 4, 23, 3), scales, drop_path, options)


@documented
def ResNet152(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    drop_path: float = 0.0,
    **options: Unpack[NetworkOptions],
) -> ResizableNetwork:
    """A resizable ResNet-152: a deeper `ResNet50`.

    | at 224 px, 1,000 classes | FLOPs |
    |---|---|
    | all 1.0 | 11.51 G |
    | all 0.9 | 7.45 G |
    | all 0.7 | 2.18 G |

    60.3 M parameters, of which four scale factors add 1.5 %. Arguments are
    those of `ResNet50`.
    """
    return _imagenet_resnet("resnet152", (3, 8, 36, 3), scales, drop_path, options)


def _small_resnet(name, stackwise_num_blocks, scales, width, drop_path, options):
    check_width("width", width)
    defaults = {"input_shape": (32, 32, 3), "classes": 10, "name": name}
    return ResNet(
        small_image_stem,
        basic_block,
        stackwise_num_blocks,
        stackwise_num_filters=[max(1, round(width * n)) for n in (16, 32, 64)],
        drop_path=drop_path,
        scales=scales,
        **(defaults | options),
    )


def _imagenet_resnet(name, stackwise_num_blocks, scales, drop_path, options):
    defaults = {"input_shape": (224, 224, 3), "classes": 1000, "name": name}
    return ResNet(
        imagenet_stem,
        bottleneck_block,
        stackwise_num_blocks,
        stackwise_num_filters=(64, 128, 256, 512),
        drop_path=drop_path,
        scales=scales,
        **(defaults | options),
    )
