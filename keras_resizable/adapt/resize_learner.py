"""The router."""

from collections.abc import Sequence

import keras
from keras import layers


def ResizeLearner(
    input_shape: Sequence[int],
    num_candidates: int,
    *,
    filters: int = 32,
    name: str = "resize_learner",
) -> keras.Model:
    """The router: which of several sub-networks an image goes to.

    Three convolutions, pooling and softmax (Resizable Neural Networks, section 3.5).
    The first is 1x1 and narrows, the second has a stride of 2.

    Args:
        input_shape: `(height, width, channels)` of the features that come in.
        num_candidates: Number of sub-networks to choose from.
        filters: Filters of the first two convolutions.
        name: Name of the model.

    Returns:
        A functional `keras.Model` of stock layers, from features to probabilities
        `(batch, num_candidates)`.

    Raises:
        ValueError: If there are fewer than two candidates.
    """
    if num_candidates < 2:
        raise ValueError(
            "A router chooses from at least two candidates. "
            f"Received: num_candidates={num_candidates}"
        )
    features = keras.Input(input_shape, name="features")
    x = layers.Conv2D(filters, 1, activation="relu", name="conv1")(features)
    x = layers.Conv2D(
        filters, 3, strides=2, padding="same", activation="relu", name="conv2"
    )(x)
    x = layers.Conv2D(num_candidates, 3, padding="same", name="conv3")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    # As Keras advises for mixed precision.
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name=name)
