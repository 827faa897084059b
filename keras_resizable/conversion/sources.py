"""Networks for recipes of what others have made: keras.applications, files."""

import inspect
import os
import types
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.extras import fetching
from keras_resizable.utils.graph import layers_of
from keras_resizable.utils.messages import first_line

APPLICATIONS = "keras.applications."
_REGULARIZERS = ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer")


def is_source(name: str) -> bool:
    """Whether a name is that of a model of others.

    Args:
        name: `keras.applications.<name>`, or the path of a `.keras` file; anything else
            is not.

    Raises:
        ValueError: If `keras.applications` has no such model.
    """
    if name.startswith(APPLICATIONS):
        _module_of(name.removeprefix(APPLICATIONS))
        return True
    return name.endswith(".keras")


def application_model(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    weights: str | os.PathLike | None = None,
    width: float = 1.0,
    dropout: float = 0.0,
) -> keras.Model:
    """A model of `keras.applications` for images in [-1, 1], with its own classifier.

    Args:
        name: Its name, such as `EfficientNetB0`.
        input_shape: `(height, width, channels)`.
        classes: Number of classes.
        weights: None for random ones, `"imagenet"`, or the path of a `.weights.h5` file
            of the model without its classifier.
        width: The `alpha` of the models that have one.
        dropout: Fraction of the classifier's inputs that training drops.

    Returns:
        A `keras.Model` that ends in the layer `predictions`, with softmax.

    Raises:
        ValueError: If there is no such model, or it has no `alpha`.
        OSError: If its weights cannot be fetched.
    """
    module, make = _module_of(name), getattr(keras.applications, name)
    options: dict[str, Any] = {}
    if width != 1.0:
        if "alpha" not in inspect.signature(make).parameters:
            raise ValueError(f"{name} has no width. Received: {width}")
        options["alpha"] = width
    with fetching(name):
        base = make(
            input_shape=input_shape, include_top=False, weights=weights, **options
        )
    images = keras.Input(input_shape, name="images")
    x = base(_as_it_wants(module, images, input_shape[-1]))
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(images, classifier(classes)(x), name=name.lower())


def classifier(classes: int) -> layers.Layer:
    """The layer that ends a model for some classes."""
    return layers.Dense(
        classes, activation="softmax", dtype="float32", name="predictions"
    )


def load_source(path: str | os.PathLike, classes: int) -> keras.Model:
    """A stock Keras model that classifies, from a `.keras` file.

    Args:
        path: Path of the file.
        classes: Number of classes it must have.

    Raises:
        ValueError: If Keras cannot load it, or it holds something else.
    """
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Of many types, depending on the file.
        raise ValueError(
            f"{path} cannot be loaded as a Keras model: {first_line(error)}"
        ) from error
    if isinstance(model, ResizableNetwork):
        raise ValueError(
            f"{path} holds a resizable network already. A sub-network of it is a model "
            "of Keras."
        )
    shapes = [tuple(output.shape) for output in model.outputs]
    if shapes != [(None, classes)]:
        raise ValueError(
            f"{path} answers with {', '.join(map(str, shapes))}, but there are "
            f"{classes} classes."
        )
    return model


def _module_of(name: str) -> types.ModuleType:
    """The module that a model of `keras.applications` is from."""
    known = vars(keras.applications)
    names = [key for key, value in known.items() if inspect.isfunction(value)]
    if name not in names:
        raise ValueError(
            f"keras.applications has no {name!r}. It has {', '.join(sorted(names))}."
        )
    module = inspect.getmodule(known[name])
    assert module is not None
    return module


def _as_it_wants(module, images, channels):
    """Images in [-1, 1] as a model's `preprocess_input` makes them of [0, 255].

    Each is a factor and a summand for each channel, after the order of the channels is
    reversed maybe: they are read off what it makes of a few pixels.
    """
    pixels = np.zeros((1 + channels, 1, 1, channels), np.float32)
    for channel in range(channels):
        pixels[1 + channel, 0, 0, channel] = 255
    made = module.preprocess_input(pixels.copy())[:, 0, 0]
    offset, factors = made[0], (made[1:] - made[0]) / 255
    x = layers.Rescaling(127.5, 127.5, name="to_pixels")(images)
    if not np.diag(factors).all():
        x = keras.ops.flip(x, axis=-1)
        factors = factors[::-1]
    return layers.Rescaling(
        np.diag(factors).tolist(), offset.tolist(), name="preprocess"
    )(x)


def set_options(
    model: keras.Model,
    regularizer: keras.regularizers.Regularizer | None,
    synchronized: bool,
) -> None:
    """Sets options of layers, before they are copied.

    Args:
        model: A `keras.Model`.
        regularizer: Regularizer of all kernels.
        synchronized: Whether replicas share the statistics of a batch.
    """
    for layer in layers_of(model):
        for name in _REGULARIZERS:
            if regularizer is not None and hasattr(layer, name):
                setattr(layer, name, regularizer)
        if isinstance(layer, layers.BatchNormalization):
            layer.synchronized = synchronized
