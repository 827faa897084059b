"""Any Keras model of images as a resizable network, with its weights."""

from keras_resizable.conversion.convert import ResizePoint, from_keras, resize_points
from keras_resizable.conversion.sources import (
    APPLICATIONS,
    application_model,
    classifier,
    is_source,
    load_source,
    set_options,
)

__all__ = [
    "APPLICATIONS",
    "ResizePoint",
    "application_model",
    "classifier",
    "from_keras",
    "is_source",
    "load_source",
    "resize_points",
    "set_options",
]
