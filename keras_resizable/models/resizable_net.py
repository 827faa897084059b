"""ResizableNet (Resizable Neural Networks, A.3)."""

from collections.abc import Iterable
from typing import Any

from keras_resizable.models.shufflenet_v2 import ShuffleNet
from keras_resizable.network import ResizableNetwork


def ResizableNet(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "resizable_net",
    dropout: float = 0.5,
    **kwargs: Any,
) -> ResizableNetwork:
    """ResizableNet: ShuffleNetV2's units with squeeze-and-excitation.

    The paper draws the architecture in a figure that did not survive in its
    text. Widths, the depth of ShuffleNetV2 and a squeeze by 4 are therefore
    ours, solved for the FLOPs and parameters that the paper gives.

    | at 224 px, 1,000 classes | FLOPs | parameters | top-1 |
    |---|---|---|---|
    | ours, all 1.0 | 366 M | 6.72 M | not run |
    | paper | 365 M | 6.7 M | 77.8 |

    Args:
        scales: Scale factors, distinct numbers in (0, 1]; 3 stages.
        input_shape: `(height, width, channels)`.
        classes: Number of classes.
        name: Name of the network.
        dropout: Fraction of the classifier's inputs that training drops.
        **kwargs: `include_top`, `weights`, `pooling` and
            `classifier_activation` as in `keras.applications`,
            `kernel_regularizer` and `synchronized`; see
            `keras_resizable.models.assemble.assemble`.

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
        name=name,
        dropout=dropout,
        **kwargs,
    )
