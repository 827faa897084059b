"""Batches of images in the forms that users pass them, checked once."""

import warnings
from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.utils.graph import require_graph

# Batches of images or of images and labels, or all of them as arrays.
Batches: TypeAlias = (
    tf.data.Dataset | np.ndarray | tf.Tensor | tuple[np.ndarray | tf.Tensor, ...]
)
_ARRAY_BATCH = 32  # Images of a batch of an array.
_BATCHES_LOOKED_AT = 8
_BATCHES_TO_TELL, _BATCHES_TO_WARN = 1000, 5000


def image_batches(
    data: Batches, model: keras.Model | None = None, name: str = "calibrate_with"
) -> tf.data.Dataset:
    """Batches of images alone.

    Args:
        data: `tf.data.Dataset` of batches of images, alone or followed by targets; or
            images as one array, `(images, height, width, channels)`.
        model: A `keras.Model` that is to take them: they are cast to its dtype.
        name: What the argument is called, for messages.

    Returns:
        A `tf.data.Dataset` that ends, of `(batch, height, width, channels)`.

    Raises:
        ValueError: If it is anything else, has no batch, or never ends.
    """
    dataset = _ending(data, name)
    spec = dataset.element_spec
    _check_images(spec[0] if isinstance(spec, tuple) else spec, model, name)
    dtype = None if model is None else _first_input(model).dtype

    def images_of(batch, *_):
        return batch if dtype is None else tf.cast(batch, dtype)

    return dataset.map(images_of)


def images_in_random_order(
    data: Batches, model: keras.Model, name: str = "calibrate_with"
) -> tf.data.Dataset:
    """`image_batches` to estimate batch statistics with.

    Arrays are shuffled. Where labels of a data set come along, a warning says if its
    batches are of few classes each: every batch is normalised by itself.
    """
    if isinstance(data, tf.data.Dataset):
        dataset = image_batches(data, model, name)
        _warn_of_order(data, name)
        return dataset
    batches = _ending(data, name).unbatch()
    count = int(batches.cardinality())
    return image_batches(
        batches.shuffle(count, seed=0, reshuffle_each_iteration=False).batch(
            _ARRAY_BATCH
        ),
        model,
        name,
    )


def _warn_of_order(dataset, name):
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) > 1):
        return
    labels = spec[1]
    if not isinstance(labels, tf.TensorSpec) or labels.shape.rank not in (1, 2):
        return
    is_one_hot = labels.shape.rank == 2 and labels.shape[1] != 1
    if not (labels.dtype.is_integer or is_one_hot):
        return
    classes = []
    for _, batch, *_ in dataset.take(_BATCHES_LOOKED_AT):
        batch = batch.numpy()
        classes.append(batch.argmax(axis=1) if is_one_hot else batch.ravel())
    together = np.concatenate(classes)
    _, counts = np.unique(together, return_counts=True)
    # Of each batch, as if classes were mixed.
    expected = [
        (1 - (1 - counts / len(together)) ** len(batch)).sum() for batch in classes
    ]
    found = [len(np.unique(batch)) for batch in classes]
    if len(counts) == 1 and len(together) >= _ARRAY_BATCH:
        said = "are all of one class"
    elif np.mean(found) < np.mean(expected) / 2:
        said = "are sorted by class"
    else:
        return
    warnings.warn(
        f"The images of `{name}` {said}, as far as the first {len(classes)} batches "
        "go: batch statistics need all classes in every batch. Shuffle them, as with "
        f"`{name}.unbatch().shuffle(5000).batch(250)`.",
        stacklevel=4,
    )


def watched(batches: Any, name: str, cardinality: int | None = None) -> Iterator[Any]:
    """Batches, with progress where it is not known how many there will be.

    Args:
        batches: `tf.data.Dataset`, or any iterable.
        name: What the argument is called, for messages.
        cardinality: Number of batches, negative if it is not known; that of the data
            set if absent.
    """
    if cardinality is None:
        cardinality = int(batches.cardinality())
    for number, batch in enumerate(batches, 1):
        yield batch
        if cardinality < 0 and number % _BATCHES_TO_TELL == 0:
            print(f"{number:,} batches of `{name}`, and it goes on")
        if cardinality < 0 and number == _BATCHES_TO_WARN:
            warnings.warn(
                f"`{name}` has given {number:,} batches, and does not say how many "
                f"there are. If it never ends, pass `{name}.take(batches)`.",
                stacklevel=3,
            )


def labelled_batches(
    data: Batches, model: keras.Model | None = None, name: str = "dataset"
) -> tf.data.Dataset:
    """Batches of images and labels.

    Args:
        data: `tf.data.Dataset` of batches of images and labels, integers or one-hot;
            or both as a tuple of arrays.
        model: As `image_batches` has it.
        name: What the argument is called, for messages.

    Returns:
        A `tf.data.Dataset` that ends, of images and labels.

    Raises:
        ValueError: If it is anything else, has no batch, or never ends.
    """
    dataset = _ending(data, name)
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 2):
        raise ValueError(
            f"`{name}` has batches of images and labels. Received batches of "
            f"{_described(spec)}."
        )
    _check_images(spec[0], model, name)
    labels = spec[1]
    is_number = isinstance(labels, tf.TensorSpec) and (
        labels.dtype.is_integer or labels.dtype.is_floating
    )
    if not is_number or labels.shape.rank not in (None, 1, 2):
        raise ValueError(
            f"Labels are integers (batch,) or one-hot (batch, classes). `{name}` has "
            f"{_described(labels)}."
        )
    dtype = None if model is None else _first_input(model).dtype
    if dtype is None or spec[0].dtype == dtype:
        return dataset
    return dataset.map(lambda images, labels: (tf.cast(images, dtype), labels))


def check_not_empty(count: int, name: str) -> None:
    """Refuses a data set that had no batch.

    Args:
        count: How many batches, or images, there were.
        name: What the argument is called.

    Raises:
        ValueError: If there was none.
    """
    if not count:
        raise ValueError(f"`{name}` holds no batch of images.")


def _ending(data, name):
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(f"`{name}` never ends: pass `{name}.take(batches)`.")
        if data.cardinality() == 0:
            check_not_empty(0, name)
        return data
    parts = data if isinstance(data, tuple) else (data,)
    if all(isinstance(part, (np.ndarray, tf.Tensor)) for part in parts):
        lengths = {len(part) for part in parts}
        if len(lengths) > 1:
            raise ValueError(
                f"`{name}` has {sorted(lengths)} images and labels: they belong "
                "together one by one."
            )
        check_not_empty(max(lengths, default=0), name)
        dataset = tf.data.Dataset.from_tensor_slices(
            parts if isinstance(data, tuple) else data
        )
        return dataset.batch(_ARRAY_BATCH)
    raise ValueError(
        f"`{name}` is a tf.data.Dataset of batches, or an array (images, height, "
        f"width, channels). Received: {type(data).__name__}"
    )


def _check_images(spec, model, name):
    is_batch = isinstance(spec, tf.TensorSpec) and spec.shape.rank in (None, 4)
    if not is_batch or spec.dtype not in _NUMBERS:
        raise ValueError(
            f"Batches of images are (batch, height, width, channels). `{name}` has "
            f"{_described(spec)}."
        )
    shape = spec.shape
    if model is not None and shape.rank is not None:
        expected = tuple(_first_input(model).shape)
        if not shape[1:].is_compatible_with(expected[1:]):
            raise ValueError(
                f"The network takes images of {expected[1:]}. `{name}` has images of "
                f"{tuple(shape[1:])}."
            )


def _first_input(model):
    """The tensor of Keras that a model's images come in by."""
    stem = getattr(model, "stem", model)  # A super-network's is its stem's.
    require_graph(stem)
    return stem.inputs[0]


_NUMBERS = {
    tf.as_dtype(name)
    for name in (
        *("uint8", "int8", "uint16", "int16", "int32", "int64"),
        *("float16", "bfloat16", "float32", "float64"),
    )
}


def _described(spec):
    def describe(part):
        if isinstance(part, tf.TensorSpec):
            return f"{part.dtype.name} {part.shape}"
        return type(part).__name__

    return str(keras.tree.map_structure(describe, spec))
