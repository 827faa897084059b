"""Resizable-Adapt: a router sends each image to a sub-network of its own."""

from keras_resizable.adapt.adaptive_network import AdaptiveNetwork
from keras_resizable.adapt.evaluation import (
    AdaptiveResults,
    evaluate,
    trade_off,
    trade_off_table,
)
from keras_resizable.adapt.export import to_saved_model, to_tflite
from keras_resizable.adapt.report import plot_trade_off
from keras_resizable.adapt.resize_learner import ResizeLearner
from keras_resizable.adapt.routing import (
    RoutingLoss,
    choose_candidates,
    fit_router,
    routing_targets,
)

__all__ = [
    "AdaptiveNetwork",
    "AdaptiveResults",
    "ResizeLearner",
    "RoutingLoss",
    "choose_candidates",
    "evaluate",
    "fit_router",
    "plot_trade_off",
    "routing_targets",
    "to_saved_model",
    "to_tflite",
    "trade_off",
    "trade_off_table",
]
