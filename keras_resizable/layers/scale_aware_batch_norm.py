"""Batch normalisation with a row for each scale factor."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import initializers, ops, regularizers

from keras_resizable.layers.context import running_scale_index
from keras_resizable.layers.stock_form import HasStockForm, Shape
from keras_resizable.utils.arguments import integer

# Below this, cuDNN's fused kernel raises the epsilon.
_MIN_FUSED_EPSILON = 1.001e-5


@keras.saving.register_keras_serializable(package="keras_resizable")
class ScaleAwareBatchNorm(HasStockForm, keras.layers.Layer):
    """Batch normalisation with separate parameters for each scale factor.

    Resizable Neural Networks, section 3.2. Every scale factor has a row: gamma, beta,
    moving mean and moving variance. Gammas and betas are separate variables
    `(channels,)`, as optimizers may treat a variable as a whole; the moving statistics
    are tables `(num_scales, channels)`. A call uses the row of its scale index, and in
    training updates the statistics of that row only, under `tf.distribute` by means
    over the replicas. With `num_scales=1` all scale factors share one row.

    Args:
        num_scales: Number of scale factors, a positive integer. All other arguments
            are as in `keras.layers.BatchNormalization`, for the last axis.

    Attributes:
        gammas: Variables `(channels,)`, one for each row; none with `scale=False`.
        betas: Likewise; none with `center=False`.

    Call arguments:
        inputs: `(batch, ..., channels)`, floating point.
        scale_index: Scalar int32 tensor, the row to use; ignored if there is only one.
            The default is the scale index of the running stage, or 0 outside of stages.
        training: Whether to normalise by the statistics of the batch and update the
            moving ones. A frozen layer (`trainable=False`) never does, as in Keras.

    Output shape:
        Same as `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: If `num_scales` is not a positive integer.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> norm = keras_resizable.ScaleAwareBatchNorm(num_scales=3)
    >>> norm(keras.ops.ones((2, 4, 4, 8)), keras.ops.array(2), training=True).shape
    TensorShape([2, 4, 4, 8])
    >>> norm.count_params()  # Three rows of four numbers for each channel.
    96
    """

    def __init__(
        self,
        num_scales: int,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: keras.initializers.Initializer | str = "zeros",
        gamma_initializer: keras.initializers.Initializer | str = "ones",
        moving_mean_initializer: keras.initializers.Initializer | str = "zeros",
        moving_variance_initializer: keras.initializers.Initializer | str = "ones",
        beta_regularizer: keras.regularizers.Regularizer | str | None = None,
        gamma_regularizer: keras.regularizers.Regularizer | str | None = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_scales = integer("num_scales", num_scales, 1)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.synchronized = synchronized
        self.supports_jit = False  # Maps of any size pass through one graph.

    def build(self, inputs_shape, scale_index_shape=None):
        channels = inputs_shape[-1]
        self.gammas = self._add_rows("gamma", channels) if self.scale else []
        self.betas = self._add_rows("beta", channels) if self.center else []
        self.moving_mean, self.moving_variance = (
            self.add_weight(
                shape=(self.num_scales, channels),
                name=name,
                initializer=getattr(self, f"{name}_initializer"),
                trainable=False,
                autocast=False,
                aggregation="mean",
            )
            for name in ("moving_mean", "moving_variance")
        )
        self.input_spec = keras.InputSpec(ndim=len(inputs_shape), axes={-1: channels})

    def _add_rows(self, kind, channels):
        names = [kind]
        if self.num_scales > 1:
            names = [f"{kind}_{row}" for row in range(self.num_scales)]
        return [
            self.add_weight(
                shape=(channels,),
                name=name,
                initializer=getattr(self, f"{kind}_initializer"),
                regularizer=getattr(self, f"{kind}_regularizer"),
                autocast=False,
            )
            for name in names
        ]

    def call(self, inputs, scale_index=None, training=None):
        if scale_index is None:
            scale_index = running_scale_index()
        scale_index = self.row_of(scale_index)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        channels = (inputs.shape[-1],)
        gamma = _pick(self.gammas, scale_index, dtype, tf.ones(channels, dtype))
        beta = _pick(self.betas, scale_index, dtype, tf.zeros(channels, dtype))
        tables = (self.moving_mean, self.moving_variance)
        if training and self.trainable:
            outputs, *statistics = self._normalize_by_batch(inputs, gamma, beta)
            for table, batch_row in zip(tables, statistics):
                self._update(table, scale_index, batch_row)
        else:
            rows = [
                tf.cast(tf.convert_to_tensor(table)[scale_index], dtype)
                for table in tables
            ]
            normalize = self._fused if self._can_fuse(inputs) else self._unfused
            outputs, *_ = normalize(inputs, gamma, beta, *rows)
        return tf.cast(outputs, self.compute_dtype)

    def row_of(self, scale_index: int | tf.Tensor) -> int | tf.Tensor:
        """The row of a scale factor; the only one if all share it."""
        return 0 if self.num_scales == 1 else scale_index

    def row_variables(self, row: int) -> list[keras.Variable]:
        """The trained variables of a row: its gamma and its beta, if there are any."""
        return [rows[row] for rows in (self.gammas, self.betas) if rows]

    def stock_form(
        self, scale_index: int, name: str
    ) -> keras.layers.BatchNormalization:
        config = self.get_config()
        del config["num_scales"]
        stock = keras.layers.BatchNormalization.from_config({**config, "name": name})
        axes = self.input_spec.axes
        stock.build((None,) * (self.input_spec.ndim - 1) + (axes[-1],))
        stock.set_weights(self.get_row_weights(scale_index))
        return stock

    @classmethod
    def from_stock(
        cls, stock: keras.layers.BatchNormalization, num_scales: int
    ) -> "ScaleAwareBatchNorm":
        """A layer whose rows all equal a stock batch normalisation.

        Args:
            stock: A `keras.layers.BatchNormalization` of the last axis, built or not.
            num_scales: Number of scale factors.

        Returns:
            A `ScaleAwareBatchNorm` with the same name, settings and weights, if any.

        Raises:
            ValueError: If `stock` is of another class, or has an unsupported setting:
                another axis, a constraint or renormalization.

        Example:

        >>> import keras
        >>> import keras_resizable
        >>> stock = keras.layers.BatchNormalization(epsilon=1e-5)
        >>> keras_resizable.ScaleAwareBatchNorm.from_stock(stock, 3).epsilon
        1e-05
        """
        config = stock.get_config()
        last = stock.input_spec.ndim - 1 if stock.built else 3  # For images.
        if config["axis"] in (-1, last):
            config["axis"] = -1
        ours = inspect.signature(cls).parameters.keys() | {"name", "trainable", "dtype"}
        defaults = keras.layers.BatchNormalization().get_config()
        others = {name: config.pop(name) for name in config.keys() - ours}
        odd = {name: x for name, x in others.items() if x != defaults.get(name)}
        if odd or type(stock) is not keras.layers.BatchNormalization:
            raise ValueError(
                "To have a row for each scale factor, a layer must be a "
                "keras.layers.BatchNormalization of the last axis, without constraints "
                f"or renormalization. Received: {stock.name!r}, a "
                f"{type(stock).__name__} with {odd}"
            )
        layer = cls(num_scales=num_scales, **config)
        if stock.built:
            layer.build((None,) * last + stock.moving_mean.shape)
            layer.set_row_weights(stock.get_weights())
        return layer

    def fits(self, scales: tuple[float, ...]) -> bool:
        return self.num_scales in (1, len(scales))

    def get_row_weights(self, scale_index: int) -> list[np.ndarray]:
        """The weights of a scale factor, as in `keras.layers.BatchNormalization`.

        Returns:
            Arrays `(channels,)`: gamma and beta, if there are any, moving mean and
            moving variance.
        """
        row = self.row_of(scale_index)
        tables = (self.moving_mean, self.moving_variance)
        return [
            *(variable.numpy() for variable in self.row_variables(row)),
            *(table.numpy()[row] for table in tables),
        ]

    def set_row_weights(
        self,
        weights: Sequence[np.ndarray],
        rows: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        """Sets the weights of all rows, or some, as `get_row_weights` returns them."""
        rows = range(self.num_scales) if rows is None else rows
        *trained, mean, variance = weights
        for row in rows:
            for variable, value in zip(self.row_variables(row), trained, strict=True):
                variable.assign(value)
        for table, value in (self.moving_mean, mean), (self.moving_variance, variance):
            values = table.numpy()
            values[list(rows)] = value
            table.assign(values)

    def _update(self, table, scale_index, batch_row):
        old = tf.convert_to_tensor(table)
        batch_row = tf.cast(batch_row, old.dtype)
        row = old[scale_index] * self.momentum + batch_row * (1 - self.momentum)
        table.assign(tf.tensor_scatter_nd_update(old, [[scale_index]], [row]))

    def _can_fuse(self, inputs):
        return (
            inputs.shape.rank == 4
            and inputs.dtype in (tf.float32, tf.float16, tf.bfloat16)
            and self.epsilon >= _MIN_FUSED_EPSILON
        )

    def _unfused(self, inputs, gamma, beta, mean, variance):
        """Outputs, mean and variance; gradients reach these two, unlike fused ones."""
        outputs = ops.batch_normalization(
            tf.cast(inputs, gamma.dtype),
            mean,
            variance,
            axis=-1,
            offset=beta,
            scale=gamma,
            epsilon=self.epsilon,
        )
        return outputs, mean, variance

    def _normalize_by_batch(self, inputs, gamma, beta):
        """Outputs, and the mean and the (biased) variance of the batch."""
        if self._can_fuse(inputs) and not self.synchronized:
            outputs, mean, variance = self._fused(inputs, gamma, beta)
            # The fused kernel returns the unbiased variance.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], gamma.dtype)
            return outputs, mean, variance * tf.maximum(count - 1, 1) / count
        inputs = tf.cast(inputs, gamma.dtype)
        mean, variance = ops.moments(
            inputs,
            axes=tuple(range(inputs.shape.rank - 1)),
            synchronized=self.synchronized,
        )
        return self._unfused(inputs, gamma, beta, mean, variance)

    def _fused(self, inputs, gamma, beta, mean=None, variance=None):
        training = mean is None
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=tf.zeros((0,)) if training else mean,
            variance=tf.zeros((0,)) if training else variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        return outputs, mean, variance

    def compute_output_shape(
        self, inputs_shape: Shape, scale_index_shape: Shape | None = None
    ) -> Shape:
        return inputs_shape

    def get_config(self):
        config = super().get_config()
        *settings, _ = inspect.signature(ScaleAwareBatchNorm).parameters
        for name in settings:
            value = getattr(self, name)
            if name.endswith(("_initializer", "_regularizer")):
                value = keras.saving.serialize_keras_object(value)
            config[name] = value
        return config


def _pick(rows, scale_index, dtype, default):
    """The value of a scale factor's row."""
    if not rows:
        return default
    values = [tf.convert_to_tensor(row) for row in rows]
    if len(values) == 1:
        return tf.cast(values[0], dtype)
    # Indexing has a dense gradient, `tf.gather` a sparse one.
    return tf.cast(tf.stack(values)[scale_index], dtype)
