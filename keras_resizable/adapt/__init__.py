"""Resizable-Adapt: each image to a sub-network of its own."""

from keras_resizable.adapt.cascade import Cascade
from keras_resizable.adapt.router import AdaptiveNetwork, fit_router
from keras_resizable.adapt.running import AdaptiveResults, evaluate, to_tflite

__all__ = [
    "AdaptiveNetwork",
    "AdaptiveResults",
    "Cascade",
    "evaluate",
    "fit_router",
    "to_tflite",
]
