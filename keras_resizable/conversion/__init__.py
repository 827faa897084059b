"""Any Keras model of images as a resizable network, with its weights."""

from keras_resizable.conversion.convert import ResizePoint, from_keras, resize_points
from keras_resizable.conversion.sources import (
    APPLICATIONS,
    application_model,
    classifier,
    find_source,
    from_application,
    from_file,
    load_source,
)

__all__ = [
    "APPLICATIONS",
    "ResizePoint",
    "application_model",
    "classifier",
    "find_source",
    "from_application",
    "from_file",
    "from_keras",
    "load_source",
    "resize_points",
]
