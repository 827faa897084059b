"""From a folder of photos to files for the phone."""

from keras_resizable.workshop.photos.estimate import Estimate, estimate
from keras_resizable.workshop.photos.job import Job
from keras_resizable.workshop.photos.predicting import predict
from keras_resizable.workshop.photos.to_phone import ForPhone, to_phone

__all__ = ["Estimate", "ForPhone", "Job", "estimate", "predict", "to_phone"]
