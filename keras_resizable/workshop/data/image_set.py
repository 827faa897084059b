"""Sets of labelled images from any source."""

import collections.abc
import dataclasses
import hashlib
import json
from collections.abc import Iterable
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_resizable.utils.arguments import integer
from keras_resizable.workshop.data.photo_looks import Look

Arrays = tuple[np.ndarray, np.ndarray]  # Images and labels.


class Photo(NamedTuple):
    """A file of a folder.

    Args:
        path: Its path, relative to the folder.
        label: Number of its class; without classes, its number in the split.
        look: What it looks like; None in sets of more than 20,000 files.
    """

    path: str
    label: int
    look: Look | None


@dataclasses.dataclass(frozen=True)
class Split:
    """Labelled images, to read as often as needed.

    Attributes:
        num_images: Number of images.
        read: Callable from a seed to a `tf.data.Dataset` of `(image, label)`. The
            image is encoded (a string) or uint8 `(height, width, channels)`, the
            label an integer; if there are no classes, the image's number in the split.
            With None the images come in the order of the source; a
            seed, an int64 scalar that may be a tensor, determines the order.
        photos: Its files, each once and in order, if they are of a folder.
    """

    num_images: int
    read: collections.abc.Callable[[tf.Tensor | None], tf.data.Dataset]
    photos: tuple[Photo, ...] = ()


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """An image classification set.

    Attributes:
        train: The training `Split`.
        test: The test `Split`.
        class_names: Names of the classes; empty if there are no labels.
        image_shape: `(height, width, channels)`; height and width are None if they
            vary.
        validation: The validation `Split`, if there is one.
        is_labelled: Whether the labels are known, rather than a model's answers.
        unknown: A `Split` of images of no class, from a folder `_unknown/`, if any.
    """

    train: Split
    test: Split
    class_names: tuple[str, ...]
    image_shape: tuple[int | None, int | None, int]
    validation: Split | None = dataclasses.field(default=None, kw_only=True)
    is_labelled: bool = dataclasses.field(default=True, kw_only=True)
    unknown: Split | None = dataclasses.field(default=None, kw_only=True)


def describe(image_set: ImageSet) -> dict[str, Any]:
    """A dictionary for JSON that identifies a set without reading its images."""
    names = json.dumps(image_set.class_names).encode()
    about = {
        "train": image_set.train.num_images,
        "shape": list(image_set.image_shape),
        "classes": hashlib.sha256(names).hexdigest(),
    }
    return about if image_set.is_labelled else about | {"is_labelled": False}


def take_train(image_set: ImageSet, count: int, skip: int = 0) -> ImageSet:
    """Returns an `ImageSet` with fewer training images, always the same ones.

    Args:
        image_set: An `ImageSet`.
        count: Number of images to draw.
        skip: Number of images to draw first and skip.

    Raises:
        ValueError: If there are not enough training images.
    """
    left = image_set.train.num_images - integer("skip", skip, 0)
    integer("count", count, 1, left)

    def read(seed=None):
        return shuffled(image_set.train.read(0).skip(skip).take(count), count, seed)

    return dataclasses.replace(image_set, train=Split(count, read))


def hold_out(image_set: ImageSet, count: int) -> ImageSet:
    """Returns an `ImageSet` with `count` training images as its test images.

    These are always the same. Use it to choose settings: if the real test images chose
    them, results would look better than they are.
    """
    num_images = image_set.train.num_images
    integer("count", count, 1, below=num_images)
    held_out = take_train(image_set, count).train
    rest = take_train(image_set, num_images - count, skip=count)
    return dataclasses.replace(rest, test=held_out)


def with_validation(image_set: ImageSet, fraction: float) -> ImageSet:
    """Returns an `ImageSet` with a share of the training images for validation."""
    count = count_validation(image_set.train.num_images, fraction)
    rest = hold_out(image_set, count)
    return dataclasses.replace(rest, test=image_set.test, validation=rest.test)


def count_validation(num_images: int, fraction: float) -> int:
    """The number of training images that `with_validation` takes."""
    return max(1, round(fraction * num_images)) if fraction else 0


def from_arrays(
    train: Arrays, test: Arrays, class_names: Iterable[str] | None = None
) -> ImageSet:
    """Makes an `ImageSet` from arrays.

    Args:
        train: Images and labels: uint8 arrays `(images, height, width)` or with
            channels last, and integers `(images,)` or `(images, 1)`.
        test: Test images and labels, in the same form.
        class_names: Names of the classes; by default their numbers.

    Raises:
        ValueError: If images are not uint8 or differ in channels, or labels are not
            class numbers, one for each image.

    Example:

    >>> import numpy as np
    >>> from keras_resizable import data
    >>> part = np.zeros((8, 32, 32, 3), np.uint8), np.arange(8) % 2
    >>> data.from_arrays(part, part, class_names=["cat", "dog"]).class_names
    ('cat', 'dog')
    """
    names = None if class_names is None else tuple(class_names)
    parts = []
    for part in (train, test):
        images, labels = map(np.asarray, part)
        images = images[..., np.newaxis] if images.ndim == 3 else images
        labels = labels[:, 0] if labels.shape[1:] == (1,) else labels
        parts.append((images, labels))
        channels = parts[0][0].shape[3:]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3:] != channels:
            raise ValueError(
                "Images must be uint8, from 0 to 255, (images, height, width) or with "
                "channels last, with the same channels in both sets. Received: "
                f"{images.dtype} {images.shape}"
            )
        known = np.unique(labels)
        is_valid = labels.shape == images.shape[:1] and labels.dtype.kind in "biu"
        if not (is_valid and known.size and known[0] >= 0) or (
            names is not None and known[-1] >= len(names)
        ):
            raise ValueError(
                "Labels are integers from 0 to the number of classes - 1, one for each "
                f"image. Received: {len(images)} images, and labels {labels.dtype} "
                f"{labels.shape}, {np.array2string(known, threshold=6)}"
            )
    if names is None:
        highest = max(int(labels.max()) for _, labels in parts)
        names = tuple(map(str, range(highest + 1)))
    train_split, test_split = starmap(_split, parts)
    return ImageSet(train_split, test_split, names, parts[0][0].shape[1:])


def _split(images, labels):
    count = len(images)
    with tf.device("CPU"):
        images, labels = tf.constant(images), tf.constant(labels, tf.int64)

    def read(seed=None):
        positions = shuffled(tf.data.Dataset.range(count), count, seed)
        return positions.map(lambda i: (images[i], labels[i]))

    return Split(count, read)


def shuffled(
    dataset: tf.data.Dataset, buffer_size: int, seed: int | tf.Tensor | None
) -> tf.data.Dataset:
    """Shuffles in an order that only depends on the seed; None keeps the order."""
    if seed is None:
        return dataset

    def shuffle(seed):
        # Set this graph's seed; otherwise the order would depend on the program's.
        tf.random.set_seed(1)
        return dataset.shuffle(buffer_size, seed, reshuffle_each_iteration=False)

    return tf.data.Dataset.from_tensors(tf.cast(seed, tf.int64)).flat_map(shuffle)
