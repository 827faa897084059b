"""Stochastic depth, in the largest sub-network only."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_resizable.layers.stock_form import HasStockForm

_is_largest: contextvars.ContextVar = contextvars.ContextVar("is_largest", default=None)


@keras.saving.register_keras_serializable(package="keras_resizable")
class DropPath(HasStockForm, keras.layers.Dropout):
    """Skips a residual branch for some images, in the largest sub-network only.

    Stochastic depth (Huang et al., 2016, https://arxiv.org/abs/1603.09382). Only the
    largest sub-network is regularized, as smaller ones rather lack capacity (Yu et al.,
    2020, https://arxiv.org/abs/2003.11142, section 3.1). What is kept is scaled by
    `1 / (1 - rate)`.

    Args:
        rate: Fraction of the images, from 0 to 1.
        seed: Seed of the draws.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        training: Whether to drop, if the training step of a `ResizableNetwork` runs its
            largest sub-network. Elsewhere nothing is dropped.

    Output shape:
        That of `inputs`.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, noise_shape=(None, 1, 1, 1), seed=seed, **kwargs)

    def call(self, inputs, training=False):
        is_largest = _is_largest.get()
        if not training or is_largest is None:
            return inputs
        return tf.where(is_largest, super().call(inputs, training=True), inputs)

    def stock_form(
        self, scale_index: int, name: str
    ) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
        return lambda inputs: inputs

    def get_config(self):
        config = super().get_config()
        del config["noise_shape"]
        return config


@contextlib.contextmanager
def running(is_largest: tf.Tensor) -> Iterator[None]:
    """Tells the `DropPath` layers called inside which sub-network runs.

    Args:
        is_largest: Scalar boolean tensor, whether it is the largest.
    """
    token = _is_largest.set(is_largest)
    try:
        yield
    finally:
        _is_largest.reset(token)
