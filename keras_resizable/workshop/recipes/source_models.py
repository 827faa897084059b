"""Third-party models for recipes: keras.applications, and files."""

import inspect
import os
import sys
import types
import zipfile
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.arguments import one_of
from keras_resizable.utils.extras import fetching
from keras_resizable.utils.files import reading
from keras_resizable.utils.keras_graph import is_graph, layers_of

APPLICATIONS = "keras.applications."
_LARGEST_PIXEL = 10  # The largest value of rescaled pixels.
_REGULARIZERS = ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer")


def is_source(name: str) -> bool:
    """Whether a name is `keras.applications.<name>` or the path of a `.keras` file.

    Raises `ValueError` if `keras.applications` has no such model.
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
    """A model of `keras.applications` for images in [-1, 1], with a new classifier.

    `weights` are None for random ones, `"imagenet"`, or the path of a `.weights.h5`
    file of the model without its classifier. `width` is the `alpha` of models that have
    it.
    """
    module, make = _module_of(name), getattr(keras.applications, name)
    options: dict[str, Any] = {}
    if width != 1.0:
        if "alpha" not in inspect.signature(make).parameters:
            raise ValueError(f"{name} has no width option. Received: width={width}")
        options["alpha"] = width
    with fetching(name):
        base = make(
            input_shape=input_shape, include_top=False, weights=weights, **options
        )
    images = keras.Input(input_shape, name="images")
    x = base(_preprocessed(module, images))
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(images, classifier(classes)(x), name=name.lower())


def classifier(classes: int) -> layers.Layer:
    """The layer that ends a model with this number of classes."""
    return layers.Dense(
        classes, activation="softmax", dtype="float32", name="predictions"
    )


def load_stock(path: str | os.PathLike) -> keras.Model:
    """A stock Keras model, from a `.keras` file."""
    with reading(path), zipfile.ZipFile(path):
        model = keras.saving.load_model(path, compile=False)
    if isinstance(model, ResizableNetwork):
        raise ValueError(
            f"{path} already holds a resizable network. Its sub-networks are models "
            "of Keras."
        )
    return model


def load_source(path: str | os.PathLike, classes: int) -> keras.Model:
    """A stock Keras model with this number of outputs, from a `.keras` file."""
    model = load_stock(path)
    shapes = [tuple(output.shape) for output in model.outputs]
    if shapes != [(None, classes)]:
        raise ValueError(
            f"{path} has outputs of {', '.join(map(str, shapes))}, but there are "
            f"{classes} classes."
        )
    return model


def _module_of(name: str) -> types.ModuleType:
    """The module of a model in `keras.applications`."""
    known = vars(keras.applications)
    names = sorted(key for key, value in known.items() if inspect.isfunction(value))
    return sys.modules[known[one_of("model", name, names)].__module__]


def _preprocessed(module, images):
    """Converts images in [-1, 1] as a model's `preprocess_input` does from [0, 255].

    Its outputs for a few pixels show a factor and an offset for each channel, and
    whether it reverses the channels.
    """
    channels = images.shape[-1]
    pixels = np.zeros((1 + channels, 1, 1, channels), np.float32)
    pixels[1:, 0, 0] = 255 * np.eye(channels)
    made = module.preprocess_input(pixels)[:, 0, 0]
    offset, factors = made[0], (made[1:] - made[0]) / 255
    x = layers.Rescaling(127.5, 127.5, name="to_pixels")(images)
    if not np.diag(factors).all():
        x = keras.ops.flip(x, axis=-1)
        factors = factors[::-1]
    return layers.Rescaling(
        np.diag(factors).tolist(), offset.tolist(), name="preprocess"
    )(x)


def set_options(
    model: keras.Model, regularizer: keras.regularizers.Regularizer, synchronized: bool
) -> None:
    """Sets the kernel regularizer, and whether replicas share batch statistics."""
    for layer in layers_of(model):
        for name in _REGULARIZERS:
            if hasattr(layer, name):
                setattr(layer, name, regularizer)
        if isinstance(layer, layers.BatchNormalization):
            layer.synchronized = synchronized


def range_of(model: keras.Model) -> tuple[float, float]:
    """A model's input values for pixels 0 and 255, judging by a first `Rescaling`.

    They are 0 and 255 if there is one, otherwise -1 and 1.
    """
    for layer in layers_of(model):
        if isinstance(layer, layers.Rescaling):
            ends = np.array([0.0, 255.0])[:, None] * layer.scale + layer.offset
            if np.abs(ends).max() <= _LARGEST_PIXEL:
                return 0.0, 255.0
        if layer.weights and not is_graph(layer):
            break
    return -1.0, 1.0
