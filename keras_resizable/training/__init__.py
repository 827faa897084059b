"""What a training step does: plans, distillation, several devices; fine-tuning."""

from keras_resizable.training.distillation import (
    InPlaceDistillation,
    TeacherDistillation,
)
from keras_resizable.training.distribution import make_strategy
from keras_resizable.training.fine_tuning import taught_by, train_only
from keras_resizable.training.learning_rates import RangeTest, find_learning_rate
from keras_resizable.training.sampling import (
    FairSampler,
    FixedSampler,
    SandwichSampler,
    SwitchingSampler,
    UniformSampler,
)

__all__ = [
    "FairSampler",
    "FixedSampler",
    "InPlaceDistillation",
    "RangeTest",
    "SandwichSampler",
    "SwitchingSampler",
    "TeacherDistillation",
    "UniformSampler",
    "find_learning_rate",
    "make_strategy",
    "taught_by",
    "train_only",
]
