"""Building a network from lists of blocks."""

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import layers

from keras_resizable.layers import ScaleAwareBatchNorm, StageResize
from keras_resizable.models.convolutions import Block, Regularizer
from keras_resizable.models.options import documented
from keras_resizable.models.pretrained import load_stock_weights
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import check_scales
from keras_resizable.utils.arguments import one_of
from keras_resizable.utils.extras import fetching
from keras_resizable.utils.files import reading

_POOLING = {
    None: functools.partial(layers.Identity, name="feature_maps"),
    "avg": functools.partial(layers.GlobalAveragePooling2D, name="avg_pool"),
    "max": functools.partial(layers.GlobalMaxPooling2D, name="max_pool"),
}


@documented
def assemble(
    stem: Iterable[Block],
    stages: Iterable[Iterable[Block]],
    *,
    scales: Iterable[float],
    input_shape: tuple[int | None, int | None, int],
    classes: int,
    name: str,
    epsilon: float,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    pooling: str | None = None,
    dropout: float = 0.0,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    kernel_regularizer: Regularizer = None,
    synchronized: bool = False,
    scale_aware: bool = True,
    imagenet: Callable[..., keras.Model] | None = None,
) -> ResizableNetwork:
    """Builds a `ResizableNetwork` from blocks.

    A block is a callable `(x, norm, regularizer) -> x`, where `norm(x, name)`
    is batch normalisation at the scale of the block's stage.

    Args:
        stem: Blocks before the first resize.
        stages: Lists of blocks. A resize goes before the first of each list.
        scales: Scale factors, distinct numbers in (0, 1].
        epsilon: Epsilon of the batch normalisations.
        scale_aware: Whether each scale factor has its own batch normalisation; False,
            for ablations, shares one row (paper, Table 5).
        imagenet: The function of `keras.applications` that makes the same
            architecture, if there is one.
        {options}

    Example:

    >>> from keras import layers
    >>> from keras_resizable import models
    >>> def block(name):
    ...     def build(x, norm, regularizer):
    ...         x = layers.Conv2D(8, 3, kernel_regularizer=regularizer, name=name)(x)
    ...         return layers.ReLU()(norm(x, f"{name}_norm"))
    ...     return build
    >>> network = models.assemble(
    ...     [block("stem")],
    ...     [[block("one"), block("two")], [block("three")]],
    ...     scales=(1.0, 0.5),
    ...     input_shape=(32, 32, 3),
    ...     classes=10,
    ...     name="mine",
    ...     epsilon=1e-3,
    ... )
    >>> network.space.size
    4
    """
    scales = check_scales(scales)
    one_of("pooling", pooling, _POOLING)
    pretrained = imagenet if weights == "imagenet" else None
    # PyTorch's momentum, in which the paper's networks were trained.
    norm_layer = functools.partial(
        ScaleAwareBatchNorm, momentum=0.9, epsilon=epsilon, synchronized=synchronized
    )

    def norm_at(*scale_index):
        num_rows = len(scales) if scale_index and scale_aware else 1
        return lambda x, name: norm_layer(num_rows, name=name)(x, *scale_index)

    features = images = keras.Input(input_shape, name="images")
    is_last = keras.config.image_data_format() == "channels_last"
    if len(images.shape) != 4 or images.shape[3] is None or not is_last:
        raise ValueError(
            "Images must be (batch, height, width, channels): `input_shape` has three "
            "sizes, the number of channels is known, and Keras's image data format is "
            f"'channels_last'. Received: input_shape={input_shape} and "
            f"{keras.config.image_data_format()!r}"
        )
    for block in stem:
        features = block(features, norm_at(), kernel_regularizer)
    parts = [keras.Model(images, features, name="stem")]

    for number, blocks in enumerate(stages):
        channels = parts[-1].output_shape[-1]
        inputs = keras.Input((None, None, channels), name="features")
        scale_index = keras.Input(batch_shape=(), dtype="int32", name="scale_index")
        features = StageResize(scales, name=f"resize{number}")(inputs, scale_index)
        for block in blocks:
            features = block(features, norm_at(scale_index), kernel_regularizer)
        parts.append(
            keras.Model([inputs, scale_index], features, name=f"stage{number}")
        )

    inputs = keras.Input(parts[-1].output_shape[1:], name="features")
    outputs = _POOLING["avg" if include_top else pooling]()(inputs)
    if include_top:
        if dropout:
            outputs = layers.Dropout(dropout, name="dropout")(outputs)
        outputs = layers.Dense(
            classes,
            activation=classifier_activation,
            kernel_regularizer=kernel_regularizer,
            dtype="float32",  # As Keras advises for mixed precision.
            name="predictions",
        )(outputs)
    head = keras.Model(inputs, outputs, name="head")
    network = ResizableNetwork(parts[0], parts[1:], head, scales, name=name)
    if pretrained is not None:
        with fetching(name):
            model = pretrained(
                input_shape=(224, 224, 3),
                include_top=include_top and classes == 1000,
                weights="imagenet",
            )
        load_stock_weights(network, model)
    elif weights is not None:
        advice = (
            f"`weights` must be None or a file of weights of a {name!r} with these "
            "arguments. keras_resizable.models.load_stock_weights(network, model) "
            "loads the weights of a keras.Model."
        )
        with reading(weights, advice):
            network.load_weights(weights)
    return network
