"""The channel shuffle of ShuffleNet, for maps of any size."""

from typing import Any

import keras
import tensorflow as tf

from keras_resizable.layers.stock_form import HasStockForm, Shape, StockForm
from keras_resizable.utils.arguments import integer


@keras.saving.register_keras_serializable(package="keras_resizable")
class ChannelShuffle(HasStockForm, keras.layers.Layer):
    """Interleaves groups of channels, for feature maps of any size.

    ShuffleNet (Zhang et al., 2018, https://arxiv.org/abs/1707.01083): with two
    groups, the channels `a b c d` become `a c b d`. A stock `Reshape` needs to
    know the size of the maps when the network is built.

    Args:
        groups: Number of groups, which divides the number of channels.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `groups` is not a positive integer, or does not divide
            the number of channels.
    """

    def __init__(self, groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = integer("groups", groups, 1)

    def build(self, inputs_shape):
        if inputs_shape[-1] % self.groups:
            raise ValueError(
                f"Layer {self.name!r} cannot split {inputs_shape[-1]} channels "
                f"into {self.groups} groups."
            )

    def call(self, inputs):
        batch, height, width, _ = tf.unstack(tf.shape(inputs))
        channels = inputs.shape[-1]
        size = channels // self.groups
        x = tf.reshape(inputs, (batch, height * width, self.groups, size))
        x = tf.transpose(x, (0, 1, 3, 2))
        x = tf.reshape(x, (batch, height, width, channels))
        return tf.ensure_shape(x, inputs.shape)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return inputs_shape

    def stock_form(self, scale_index: int, name: str) -> StockForm:
        def shuffle(inputs):
            height, width, channels = inputs.shape[1:]
            parted = (height * width, self.groups, channels // self.groups)
            layers, dtype = keras.layers, inputs.dtype
            x = layers.Reshape(parted, name=f"{name}_part", dtype=dtype)(inputs)
            x = layers.Permute((1, 3, 2), name=f"{name}_swap", dtype=dtype)(x)
            return layers.Reshape((height, width, channels), name=name, dtype=dtype)(x)

        return shuffle

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}
