"""The resize in front of a stage."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_resizable.layers.stock_form import HasStockForm, Shape, StockForm
from keras_resizable.space import check_scales, fraction, resized


@keras.saving.register_keras_serializable(package="keras_resizable")
class StageResize(HasStockForm, keras.layers.Layer):
    """Resizes feature maps by one of a list of scale factors.

    Bilinear with half-pixel centres and no antialiasing, by `tf.image.resize`
    (Resizable Neural Networks, section 3.1, equation 1). Sizes are computed in
    integers by the rule of `keras_resizable.space.resized`. At scale 1.0 the layer
    returns its input.

    Args:
        scales: Scale factors, distinct numbers in (0, 1]. They are kept largest
            first.

    Call arguments:
        inputs: Feature maps, `(batch, height, width, channels)`, floating point.
        scale_index: Scalar int32 tensor, a position in `scales`. A constant gives
            static output sizes; any other tensor gives one graph for all scales.

    Output shape:
        `(batch, new_height, new_width, channels)`, in the input's dtype.

    Raises:
        ValueError: If `scales` are not valid.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> resize = keras_resizable.StageResize(scales=(1.0, 0.7))
    >>> resize(keras.ops.ones((1, 45, 45, 8)), keras.ops.array(1)).shape
    TensorShape([1, 32, 32, 8])
    """

    def __init__(self, scales: Iterable[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scales = check_scales(scales)
        self.supports_jit = False  # Sizes depend on a tensor.
        self.built = True

    def call(self, inputs, scale_index):
        known_index = tf.get_static_value(scale_index)
        sizes = tuple(inputs.shape[1:3])
        if known_index is not None:
            scale = self.scales[known_index]
            if scale == 1.0:
                return inputs
            if None not in sizes:
                return _resize(inputs, [resized(size, scale) for size in sizes])
        return self._resize_by_tensor(inputs, scale_index)

    def _resize_by_tensor(self, inputs, scale_index):
        ratios = [fraction(scale).as_integer_ratio() for scale in self.scales]
        ratio = tf.constant(ratios, tf.int64)[scale_index]
        numerator, denominator = tf.unstack(ratio)
        before = tf.shape(inputs, out_type=tf.int64)[1:3]
        size = (2 * before * numerator + denominator) // (2 * denominator)
        size = tf.cast(tf.maximum(size, 1), tf.int32)
        return tf.cond(
            tf.reduce_all(size == tf.cast(before, tf.int32)),
            lambda: inputs,
            lambda: _resize(inputs, size),
        )

    def compute_output_shape(
        self, inputs_shape: Shape, scale_index_shape: Shape | None = None
    ) -> Shape:
        batch, _, _, channels = inputs_shape
        return (batch, None, None, channels)

    def stock_form(self, scale_index: int, name: str) -> StockForm:
        def resize(inputs):
            size = self.sizes_at(inputs, scale_index).shape[1:3]
            if size == inputs.shape[1:3]:
                return inputs
            return resizing(size, name)(inputs)

        return resize

    def sizes_at(
        self, inputs: keras.KerasTensor, scale_index: int | None
    ) -> keras.KerasTensor:
        batch, height, width, channels = inputs.shape
        if scale_index is None:
            height = width = None
        else:
            scale = self.scales[scale_index]
            height, width = (size and resized(size, scale) for size in (height, width))
        return keras.KerasTensor((batch, height, width, channels), inputs.dtype)

    def fits(self, scales: tuple[float, ...]) -> bool:
        return self.scales == scales

    def get_config(self):
        return {**super().get_config(), "scales": self.scales}


def resizing(size: Sequence[int], name: str) -> StockForm:
    """A stock layer's bilinear resize of feature maps to a height and width."""

    def resize(inputs):
        layer = keras.layers.Resizing(
            *size, data_format="channels_last", dtype=inputs.dtype, name=name
        )
        # Otherwise its default `training=True` would spread to the batch
        # normalisations that follow it (keras-team/keras#23166).
        return layer(inputs, training=False)

    return resize


def _resize(inputs, size):
    # `tf.image.resize` returns float32 for every input.
    return tf.cast(tf.image.resize(inputs, size), inputs.dtype)
