"""ResizableNet (Resizable Neural Networks, A.3)."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from keras_resizable.models.convolutions import Regularizer
from keras_resizable.models.shufflenet_v2 import ShuffleNet
from keras_resizable.network import ResizableNetwork


def ResizableNet(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    pooling: str | None = None,
    dropout: float = 0.5,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    kernel_regularizer: Regularizer = None,
    synchronized: bool = False,
    scale_aware: bool = True,
    name: str = "resizable_net",
) -> ResizableNetwork:
    """ResizableNet: ShuffleNetV2's units with squeeze-and-excitation.

    The paper gives the architecture only as a figure, without its numbers. Widths, the
    depth of ShuffleNetV2 and a squeeze by 4 are therefore ours, solved for the FLOPs
    and parameters that the paper gives.

    | at 224 px, 1,000 classes | FLOPs | parameters | top-1 |
    |---|---|---|---|
    | ours, all 1.0 | 366 M | 6.72 M | not run |
    | paper | 365 M | 6.7 M | 77.8 |

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 3 stages.
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
    return ShuffleNet(
        stackwise_num_units=(4, 8, 4),
        stackwise_num_filters=(144, 360, 880),
        last_filters=2048,
        squeeze=4,
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
