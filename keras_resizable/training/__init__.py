"""What a training step does: plans, several devices, fine-tuning."""

from keras_resizable.training.distribution import make_strategy
from keras_resizable.training.learning_rates import RangeTest, find_learning_rate

__all__ = [
    "RangeTest",
    "find_learning_rate",
    "make_strategy",
]
