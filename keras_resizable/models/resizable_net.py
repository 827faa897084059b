"""ResizableNet (Resizable Neural Networks, A.3)."""

from collections.abc import Iterable
from typing import Unpack

from keras_resizable.models.options import NetworkOptions, documented
from keras_resizable.models.shufflenet_v2 import ShuffleNet
from keras_resizable.network import ResizableNetwork

_DEFAULTS: NetworkOptions = {
    "input_shape": (224, 224, 3),
    "classes": 1000,
    "dropout": 0.5,
    "name": "resizable_net",
}


@documented
def ResizableNet(
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    **options: Unpack[NetworkOptions],
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
        {options}
    """
    return ShuffleNet(
        stackwise_num_units=(4, 8, 4),
        stackwise_num_filters=(144, 360, 880),
        last_filters=2048,
        squeeze=4,
        scales=scales,
        **(_DEFAULTS | options),
    )
