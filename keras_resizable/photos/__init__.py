"""From a folder of photos to files for the phone."""

from keras_resizable.photos.estimate import Estimate, estimate
from keras_resizable.photos.job import Job
from keras_resizable.photos.to_phone import ForPhone, to_phone

__all__ = ["Estimate", "ForPhone", "Job", "estimate", "to_phone"]
