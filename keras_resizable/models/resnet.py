"""Residual networks (He et al., 2016, https://arxiv.org/abs/1512.03385)."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from keras_resizable.models.assemble import check_width
from keras_resizable.models.convolutions import Regularizer
from keras_resizable.models.residual import (
    ResNet,
    basic_block,
    bottleneck_block,
    imagenet_stem,
    small_image_stem,
)
from keras_resizable.network import ResizableNetwork


def ResNet20(
    scales: Iterable[float] = (1.0, 0.75, 0.5),
    *,
    width: float = 1.0,
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    classes: int = 10,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    pooling: str | None = None,
    dropout: float = 0.0,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    kernel_regularizer: Regularizer = None,
    synchronized: bool = False,
    scale_aware: bool = True,
    drop_path: float = 0.0,
    name: str = "resnet20",
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
        drop_path: Fraction of the images for which the last residual block leaves its
            branch out in training, in the largest sub-network only; less in those
            before, see `keras_resizable.layers.DropPath`.
        name: Name of the network.

    Returns:
        A `ResizableNetwork`.
    """
    return _small_resnet(
        (3, 3, 3),
        scales,
        width=width,
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
        drop_path=drop_path,
        name=name,
    )


def ResNet56(
    scales: Iterable[float] = (1.0, 0.75, 0.5),
    *,
    width: float = 1.0,
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    classes: int = 10,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    pooling: str | None = None,
    dropout: float = 0.0,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    kernel_regularizer: Regularizer = None,
    synchronized: bool = False,
    scale_aware: bool = True,
    drop_path: float = 0.0,
    name: str = "resnet56",
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
    return _small_resnet(
        (9, 9, 9),
        scales,
        width=width,
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
        drop_path=drop_path,
        name=name,
    )


def ResNet50(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
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
    drop_path: float = 0.0,
    name: str = "resnet50",
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
        drop_path: Fraction of the images for which the last residual block leaves its
            branch out in training, in the largest sub-network only; less in those
            before, see `keras_resizable.layers.DropPath`.
        name: Name of the network.

    Returns:
        A `ResizableNetwork`.

    Example:

    >>> import keras_resizable
    >>> network = keras_resizable.ResNet50(scales=(1.0, 0.5), classes=3)
    >>> network.space.size
    16
    """
    return _imagenet_resnet(
        (3, 4, 6, 3),
        scales,
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
        drop_path=drop_path,
        name=name,
    )


def ResNet101(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
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
    drop_path: float = 0.0,
    name: str = "resnet101",
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
    return _imagenet_resnet(
        (3, 4, 23, 3),
        scales,
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
        drop_path=drop_path,
        name=name,
    )


def ResNet152(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
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
    drop_path: float = 0.0,
    name: str = "resnet152",
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
    return _imagenet_resnet(
        (3, 8, 36, 3),
        scales,
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
        drop_path=drop_path,
        name=name,
    )


def _small_resnet(stackwise_num_blocks, scales, *, width, **kwargs):
    check_width("width", width)
    return ResNet(
        small_image_stem,
        basic_block,
        stackwise_num_blocks,
        stackwise_num_filters=[max(1, round(width * n)) for n in (16, 32, 64)],
        scales=scales,
        **kwargs,
    )


def _imagenet_resnet(stackwise_num_blocks, scales, **kwargs):
    return ResNet(
        imagenet_stem,
        bottleneck_block,
        stackwise_num_blocks,
        stackwise_num_filters=(64, 128, 256, 512),
        scales=scales,
        **kwargs,
    )
