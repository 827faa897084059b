"""Any Keras model of images as a resizable network, with its weights."""

from keras_resizable.conversion.from_model import ResizePoint, from_keras, resize_points

__all__ = ["ResizePoint", "from_keras", "resize_points"]
