"""Models in other precisions than float32, which conversion needs."""

import keras

from keras_resizable.subnetworks.cutting import copy_state
from keras_resizable.utils.graph import layers_of

# What models compute in that are converted as float32, and what that may change.
_OTHER_DTYPES = ("float16", "bfloat16", "float64")
_TOLERANCE_OF_DTYPE = {"float16": 0.02, "bfloat16": 0.1}


def float32_twin(model: keras.Model) -> keras.Model:
    """A model with the same weights that computes in float32.

    Args:
        model: A `keras.Model`, such as a sub-network in mixed precision.

    Returns:
        A `keras.Model`; `model` itself if it computes in float32.

    Raises:
        ValueError: If a layer inside of a layer keeps its own precision, or Keras has
            quantized one.
    """
    for layer in layers_of(model):
        if getattr(layer, "quantization_mode", None):
            raise ValueError(
                f"Keras has quantized the layer {layer.name!r}. Convert the model from "
                "before that: to_tflite(model, path, 'int8') quantizes all of it."
            )

    def others(layer):
        return layer.compute_dtype in _OTHER_DTYPES

    if not any(map(others, _computing(model))):
        return model

    def clone(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer) and others(layer):
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    twin = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for layer in _computing(twin):
        if others(layer):
            raise ValueError(
                f"Layer {layer.name!r}, a {type(layer).__name__}, computes in "
                f"{layer.compute_dtype} inside of another. Make the model in float32, "
                "and give it the weights of this one."
            )
    copy_state(model, twin)
    return twin


def tolerance_of(model: keras.Model) -> float:
    """How far a model's outputs may be from those of its float32 twin.

    As a share of the largest output; 0 in float32.
    """
    dtypes = {layer.compute_dtype for layer in _computing(model)}
    return max([0.0, *(_TOLERANCE_OF_DTYPE.get(dtype, 0.0) for dtype in dtypes)])


def _computing(model):
    """Layers that compute: an input has whatever global policy it was made under."""
    kind = keras.layers.InputLayer
    return [layer for layer in layers_of(model) if not isinstance(layer, kind)]
