"""Images from many sources, and the batches to train and evaluate with."""

from keras_resizable.workshop.data.folder import load_csv, load_folder
from keras_resizable.workshop.data.image_set import (
    ImageSet,
    Split,
    from_arrays,
    take_train,
)
from keras_resizable.workshop.data.load import load
from keras_resizable.workshop.data.pipeline import (
    eval_dataset,
    preprocess,
    steps_per_epoch,
    train_dataset,
)
from keras_resizable.workshop.data.preprocessing import AUGMENTATIONS
from keras_resizable.workshop.data.tfds import load_tfds

__all__ = [
    "AUGMENTATIONS",
    "ImageSet",
    "Split",
    "eval_dataset",
    "from_arrays",
    "load",
    "load_csv",
    "load_folder",
    "load_tfds",
    "preprocess",
    "steps_per_epoch",
    "take_train",
    "train_dataset",
]
