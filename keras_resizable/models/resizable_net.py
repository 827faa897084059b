"""ResizableNet (Resizable Neural Networks, A.3)."""

from keras_resizable.models.shufflenet_v2 import ShuffleNet


def ResizableNet(
    scales=(1.0, 0.9, 0.8, 0.7),
    *,
    input_shape=(224, 224, 3),
    classes=1000,
    name="resizable_net",
    dropout=0.5,
    **kwargs,
):
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
