"""Converting models of other precisions to float32, for TFLite."""

import keras

from keras_resizable.subnetworks.cutting import copy_state
from keras_resizable.utils.keras_graph import layers_of

# How far float32 may change the outputs, as a share of the largest.
_TOLERANCE_OF_DTYPE = {"float16": 0.02, "bfloat16": 0.1, "float64": 0.0}


def float32_twin(model: keras.Model) -> keras.Model:
    """A model with the same weights that computes in float32; possibly itself."""

    def clone(layer):
        config = layer.get_config()
        if getattr(layer, "compute_dtype", None) in _TOLERANCE_OF_DTYPE:
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    twin = model
    if _others_in(model):
        twin = keras.models.clone_model(model, clone_function=clone, recursive=True)
    quantized = [one for one in layers_of(twin) if getattr(one, "quantization_mode", 0)]
    for layer in quantized + _others_in(twin):
        raise ValueError(
            f"Layer {layer.name!r}, a {type(layer).__name__}, computes in "
            f"{layer.dtype_policy.name}, and cannot be converted. Make the model in "
            "float32 with these weights, or convert it before Keras quantizes it."
        )
    if twin is not model:
        copy_state(model, twin)
    return twin


def tolerance_of(model: keras.Model) -> float:
    """The tolerance of its float32 twin, as a share of the largest output."""
    others = _others_in(model)
    return max((_TOLERANCE_OF_DTYPE[one.compute_dtype] for one in others), default=0.0)


def _others_in(model):
    """Layers that compute in another precision.

    Inputs do not count: their dtype is the global policy they were created under.
    """
    return [
        layer
        for layer in layers_of(model)
        if layer.compute_dtype in _TOLERANCE_OF_DTYPE
        and not isinstance(layer, keras.layers.InputLayer)
    ]
