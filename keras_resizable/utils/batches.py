"""Batches of images in the forms that users pass them, checked once."""

import warnings
from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.utils.classifier_outputs import integer_labels
from keras_resizable.utils.keras_graph import require_graph

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
    """Batches of images alone, in a model's dtype; errors call the argument `name`."""
    dataset = _ending(data, name)
    spec = dataset.element_spec
    dtype = _dtype_for(model, spec[0] if isinstance(spec, tuple) else spec, name)
    return dataset.map(lambda images, *_: tf.cast(images, dtype))


def images_in_random_order(
    data: Batches, model: keras.Model, name: str = "calibrate_with"
) -> tf.data.Dataset:
    """`image_batches`, shuffled if arrays; warns if batches have few classes."""
    if isinstance(data, tf.data.Dataset):
        dataset = image_batches(data, model, name)
        _warn_of_order(data, name)
        return dataset
    images = _ending(data, name).unbatch()
    count = int(images.cardinality())
    shuffled = images.shuffle(count, seed=0, reshuffle_each_iteration=False)
    return image_batches(shuffled.batch(_ARRAY_BATCH), model, name)


def _warn_of_order(dataset, name):
    spec = dataset.element_spec
    labels = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
    if not isinstance(labels, tf.TensorSpec) or labels.shape.rank not in (1, 2):
        return
    is_one_hot = labels.shape.rank == 2 and labels.shape[1] != 1
    if not (labels.dtype.is_integer or is_one_hot):
        return
    classes = [
        integer_labels(batch).numpy()
        for _, batch, *_ in dataset.take(_BATCHES_LOOKED_AT)
    ]
    together = np.concatenate(classes)
    _, counts = np.unique(together, return_counts=True)
    # The number of classes in each batch, if they were mixed.
    expected = [
        (1 - (1 - counts / len(together)) ** len(batch)).sum() for batch in classes
    ]
    found = [len(np.unique(batch)) for batch in classes]
    if len(counts) == 1 and len(together) >= _ARRAY_BATCH:
        order = "are all of one class"
    elif np.mean(found) < np.mean(expected) / 2:
        order = "are sorted by class"
    else:
        return
    warnings.warn(
        f"The images of `{name}` {order}, as far as the first {len(classes)} batches "
        "go: batch statistics need all classes in every batch. Shuffle them, as with "
        f"`{name}.unbatch().shuffle(5000).batch(250)`.",
        stacklevel=4,
    )


def watched(batches: Any, name: str, cardinality: int | None = None) -> Iterator[Any]:
    """Yields batches, and reports progress if their number is unknown (negative)."""
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
    """Batches of images, in the dtype of a model, and labels, integers or one-hot."""
    dataset = _ending(data, name)
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 2):
        raise ValueError(
            f"`{name}` has batches of images and labels. Received batches of "
            f"{_described(spec)}."
        )
    dtype = _dtype_for(model, spec[0], name)
    if not _is_numeric(spec[1]) or spec[1].shape.rank not in (None, 1, 2):
        raise ValueError(
            f"Labels are integers (batch,) or one-hot (batch, classes). `{name}` has "
            f"{_described(spec[1])}."
        )
    return dataset.map(lambda images, labels: (tf.cast(images, dtype), labels))


def check_not_empty(count: int, name: str) -> None:
    """Rejects a data set with a count of 0, of batches or of images."""
    if not count:
        raise ValueError(f"`{name}` holds no batch of images.")


def _ending(data, name):
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(f"`{name}` never ends: pass `{name}.take(batches)`.")
        check_not_empty(data.cardinality() != 0, name)
        return data
    parts = data if isinstance(data, tuple) else (data,)
    if not all(isinstance(part, (np.ndarray, tf.Tensor)) for part in parts):
        raise ValueError(
            f"`{name}` is a tf.data.Dataset of batches, or an array (images, height, "
            f"width, channels). Received: {type(data).__name__}"
        )
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise ValueError(
            f"`{name}` has {sorted(lengths)} images and labels: they belong "
            "together one by one."
        )
    check_not_empty(max(lengths, default=0), name)
    return tf.data.Dataset.from_tensor_slices(data).batch(_ARRAY_BATCH)


def _dtype_for(model, spec, name):
    """The dtype that a model takes, or images have; checks the spec of the images."""
    if not _is_numeric(spec) or spec.shape.rank not in (None, 4):
        raise ValueError(
            f"Batches of images are (batch, height, width, channels). `{name}` has "
            f"{_described(spec)}."
        )
    if model is None:
        return spec.dtype
    stem = getattr(model, "stem", model)  # A super-network gets images by its stem.
    require_graph(stem)
    expected = stem.inputs[0].shape[1:]
    if spec.shape.rank is not None and not spec.shape[1:].is_compatible_with(expected):
        raise ValueError(
            f"The network takes images of {tuple(expected)}. `{name}` has images of "
            f"{tuple(spec.shape[1:])}."
        )
    return stem.inputs[0].dtype


def _is_numeric(spec):
    return isinstance(spec, tf.TensorSpec) and (
        spec.dtype.is_integer or spec.dtype.is_floating
    )


def _described(spec):
    def describe(part):
        if isinstance(part, tf.TensorSpec):
            return f"{part.dtype.name} {part.shape}"
        return type(part).__name__

    return str(keras.tree.map_structure(describe, spec))
