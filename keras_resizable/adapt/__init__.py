"""Resizable-Adapt: a sub-network for each image."""

from keras_resizable.adapt.base import AdaptiveResults, evaluate, to_tflite
from keras_resizable.adapt.cascade import Cascade
from keras_resizable.adapt.router import AdaptiveNetwork, fit_router

__all__ = [
    "AdaptiveNetwork",
    "AdaptiveResults",
    "Cascade",
    "evaluate",
    "fit_router",
    "to_tflite",
]
