"""Resizable neural networks for Keras."""

# Keras loads what is registered: these register more.
from keras_resizable import adapt, distillation
from keras_resizable.calibration import calibrate
from keras_resizable.flops import count_flops
from keras_resizable.layers import ScaleAwareBatchNorm, StageResize
from keras_resizable.models import (
    MobileNetV1,
    MobileNetV2,
    ResizableNet,
    ResNet20,
    ResNet50,
    ResNet56,
    ResNet101,
    ResNet152,
    ShuffleNetV2,
)
from keras_resizable.network import ResizableNetwork
from keras_resizable.sampling import (
    FairSampler,
    FixedSampler,
    SandwichSampler,
    SwitchingSampler,
    UniformSampler,
)
from keras_resizable.space import SpatialSpace

__version__ = "0.1.0"

__all__ = [
    "adapt",
    "distillation",
    "FairSampler",
    "FixedSampler",
    "MobileNetV1",
    "MobileNetV2",
    "ResNet101",
    "ResNet152",
    "ResNet20",
    "ResNet50",
    "ResNet56",
    "ResizableNet",
    "ResizableNetwork",
    "SandwichSampler",
    "ScaleAwareBatchNorm",
    "ShuffleNetV2",
    "SpatialSpace",
    "StageResize",
    "SwitchingSampler",
    "UniformSampler",
    "calibrate",
    "count_flops",
]
