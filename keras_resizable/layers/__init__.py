from keras_resizable.layers.channel_shuffle import ChannelShuffle
from keras_resizable.layers.drop_path import DropPath
from keras_resizable.layers.scale_aware_batch_norm import ScaleAwareBatchNorm
from keras_resizable.layers.stage_resize import StageResize

__all__ = ["ChannelShuffle", "DropPath", "ScaleAwareBatchNorm", "StageResize"]
