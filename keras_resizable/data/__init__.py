"""Images from many sources, and the batches to train and evaluate with."""

from keras_resizable.data.folder import load_folder
from keras_resizable.data.image_set import (
    ImageSet,
    Split,
    count_validation,
    from_arrays,
    take_train,
)
from keras_resizable.data.kept_images import load_images, save_images
from keras_resizable.data.load import load
from keras_resizable.data.pipeline import (
    eval_dataset,
    preprocess,
    resolved_shape,
    steps_per_epoch,
    train_dataset,
)
from keras_resizable.data.preprocessing import AUGMENTATIONS
from keras_resizable.data.sample import load_sample
from keras_resizable.data.tfds import load_tfds

__all__ = [
    "AUGMENTATIONS",
    "ImageSet",
    "Split",
    "count_validation",
    "eval_dataset",
    "from_arrays",
    "load",
    "load_images",
    "load_folder",
    "load_sample",
    "load_tfds",
    "preprocess",
    "resolved_shape",
    "save_images",
    "steps_per_epoch",
    "take_train",
    "train_dataset",
]
