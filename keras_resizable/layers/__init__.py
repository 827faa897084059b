"""Layers of resizable networks."""

from keras_resizable.layers.channel_shuffle import ChannelShuffle
from keras_resizable.layers.scale_aware_batch_norm import ScaleAwareBatchNorm
from keras_resizable.layers.stage_resize import StageResize
from keras_resizable.layers.stock_form import HasStockForm

__all__ = [
    "ChannelShuffle",
    "HasStockForm",
    "ScaleAwareBatchNorm",
    "StageResize",
]
