"""Stochastic depth, in the largest sub-network only."""

from typing import Any

import keras
import tensorflow as tf

from keras_resizable.layers.context import running
from keras_resizable.layers.stock_form import HasStockForm, StockForm


@keras.saving.register_keras_serializable(package="keras_resizable")
class DropPath(HasStockForm, keras.layers.Dropout):
    """Skips a residual branch for some images, in the largest sub-network only.

    Stochastic depth (Huang et al., 2016, https://arxiv.org/abs/1603.09382). Smaller
    sub-networks lack capacity and are not regularized (Yu et al., 2020,
    https://arxiv.org/abs/2003.11142, section 3.1). Branches that are kept are scaled
    by `1 / (1 - rate)`.

    Args:
        rate: Fraction of the images, from 0 to 1.
        seed: Seed of the draws.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        training: Whether to drop when the training step of a `ResizableNetwork` runs
            its largest sub-network. Elsewhere nothing is dropped.

    Output shape:
        Same as `inputs`.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, noise_shape=(None, 1, 1, 1), seed=seed, **kwargs)

    def call(self, inputs, training=False):
        is_largest = running().is_largest
        if not training or is_largest is None:
            return inputs
        return tf.where(is_largest, super().call(inputs, training=True), inputs)

    def stock_form(self, scale_index: int, name: str) -> StockForm:
        return lambda inputs: inputs

    def get_config(self):
        config = super().get_config()
        del config["noise_shape"]
        return config
