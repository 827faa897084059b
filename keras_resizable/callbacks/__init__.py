"""Callbacks for training a resizable network."""

from keras_resizable.callbacks.stop_on_divergence import StopOnDivergence
from keras_resizable.callbacks.sub_network_accuracy import SubNetworkAccuracy
from keras_resizable.callbacks.warn_of_no_learning import WarnOfNoLearning

__all__ = [
    "StopOnDivergence",
    "SubNetworkAccuracy",
    "WarnOfNoLearning",
]
