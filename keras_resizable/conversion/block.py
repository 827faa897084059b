"""A third-party layer at a scale."""

import copy
import types
from typing import Any

import keras

from keras_resizable.layers import HasStockForm, ScaleAwareBatchNorm
from keras_resizable.layers.context import at_scale
from keras_resizable.subnetworks.cutting import copy_state
from keras_resizable.utils.keras_graph import layers_of, replace_layers


@keras.saving.register_keras_serializable(package="keras_resizable")
class ScaleAwareBlock(HasStockForm, keras.layers.Layer):
    """A layer whose inner batch normalisations have a row for each scale factor.

    Each `keras.layers.BatchNormalization` among the attributes of `layer`, which is
    changed, becomes a `ScaleAwareBatchNorm`.
    """

    def __init__(
        self, layer: keras.layers.Layer, num_scales: int, **kwargs: Any
    ) -> None:
        super().__init__(**{"name": layer.name, "dtype": layer.dtype_policy, **kwargs})
        # Some layers serialize the layers they hold, so this precedes the replacement.
        # Keras would wrap dictionaries that are attributes.
        serialized = keras.saving.serialize_keras_object(layer)
        self._serialized = types.MappingProxyType(serialized)
        self._layer_config = types.MappingProxyType(layer.get_config())
        self.layer = layer
        self.num_scales = num_scales
        self._replace()

    def build(self, inputs_shape, scale_index_shape=None):
        _build(self.layer, inputs_shape)
        self._replace()  # Layers may create others when they are built.
        self.input_spec = keras.InputSpec(
            ndim=len(inputs_shape), axes={-1: inputs_shape[-1]}
        )

    def call(self, inputs, scale_index=0, training=None):
        with at_scale(scale_index):
            return self.layer(inputs, training=training)

    def _replace(self):
        def replacement(layer):
            if type(layer) is not keras.layers.BatchNormalization:
                return layer
            return ScaleAwareBatchNorm.from_stock(layer, self.num_scales)

        replace_layers(self.layer, replacement)

    def stock_form(self, scale_index: int, name: str) -> keras.layers.Layer:
        config = copy.deepcopy(dict(self._layer_config))
        stock = type(self.layer).from_config({**config, "name": name})
        spec = self.input_spec
        _build(stock, (None,) * (spec.ndim - 1) + (spec.axes[-1],))
        copy_state(self.layer, stock, scale_index)
        return stock

    def sizes_at(
        self, inputs: keras.KerasTensor, scale_index: int | None
    ) -> keras.KerasTensor:
        return self.layer.compute_output_spec(inputs)

    def fits(self, scales: tuple[float, ...]) -> bool:
        return self.num_scales in (1, len(scales))

    def get_config(self):
        layer = copy.deepcopy(dict(self._serialized))
        layer.pop("build_config", None)  # It is built together with this layer.
        return {**super().get_config(), "layer": layer, "num_scales": self.num_scales}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


def norms_inside(layer: keras.Operation) -> list[keras.layers.BatchNormalization]:
    """The stock batch normalisations inside a layer; none inside an operation."""
    inner = layers_of(layer) if isinstance(layer, keras.layers.Layer) else []
    return [one for one in inner if isinstance(one, keras.layers.BatchNormalization)]


def _build(layer, shape):
    """Builds a layer with those inside it, some of which are built by a call only."""
    layer(keras.Input(shape[1:], dtype=layer.compute_dtype))
