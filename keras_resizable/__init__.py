"""Resizable neural networks for Keras: one CNN, cut to any size.

Functions such as `ResNet50` and `from_keras` return a `ResizableNetwork`. The modules
listed here hold the rest. Optional packages are imported on first use.
"""

import sys as _sys

from keras_resizable import (
    adapt,
    callbacks,
    devices,
    errors,
    export,
    layers,
    models,
    search,
)
from keras_resizable.conversion import from_keras, resize_points
from keras_resizable.distillation import InPlaceDistillation, TeacherDistillation
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
from keras_resizable.samplers import (
    FairSampler,
    FixedSampler,
    PiecewiseSampler,
    SandwichSampler,
    UniformSampler,
)
from keras_resizable.search import plots
from keras_resizable.space import Configuration, SpatialSpace
from keras_resizable.subnetworks.calibration import calibrate
from keras_resizable.subnetworks.flops import count_flops
from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.training.distribution import make_strategy
from keras_resizable.training.learning_rates import RangeTest, find_learning_rate
from keras_resizable.workshop import data, photos, recipes, runs
from keras_resizable.workshop.runs import load_network, train

__version__ = "0.1.0"

# So that `from keras_resizable.runs import Run` works.
for _module in (data, photos, recipes, runs):
    _sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module

__all__ = [
    "Configuration",
    "FairSampler",
    "FixedSampler",
    "InPlaceDistillation",
    "MobileNetV1",
    "MobileNetV2",
    "RangeTest",
    "PiecewiseSampler",
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
    "TeacherDistillation",
    "UniformSampler",
    "adapt",
    "calibrate",
    "callbacks",
    "count_flops",
    "count_flops_of_configs",
    "data",
    "devices",
    "errors",
    "export",
    "find_learning_rate",
    "from_keras",
    "layers",
    "load_network",
    "make_strategy",
    "models",
    "photos",
    "plots",
    "recipes",
    "resize_points",
    "runs",
    "search",
    "train",
]


def __dir__() -> list[str]:
    return __all__
