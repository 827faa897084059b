"""Reading and checking the batches of images that users pass."""

import logging
import warnings
from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.utils.classifier_outputs import check_labels, integer_labels
from keras_resizable.utils.keras_graph import require_graph

# Batches of images, with or without labels; or all of them as arrays.
Batches: TypeAlias = (
    tf.data.Dataset | np.ndarray | tf.Tensor | tuple[np.ndarray | tf.Tensor, ...]
)
_LOG = logging.getLogger(__name__)
_ARRAY_BATCH = 32  # Batch size for arrays.
_BATCHES_LOOKED_AT = 8
_BATCHES_TO_TELL, _BATCHES_TO_WARN = 1000, 5000


def image_batches(
    data: Batches, model: keras.Model | None = None, name: str = "calibrate_with"
) -> tf.data.Dataset:
    """Batches of images without labels, in a model's dtype; errors use `name`."""
    dataset = _ending(data, name)
    spec = dataset.element_spec
    dtype = _dtype_for(model, spec[0] if isinstance(spec, tuple) else spec, name)
    return dataset.map(lambda images, *_: tf.cast(images, dtype))


def images_in_random_order(
    data: Batches, model: keras.Model, name: str = "calibrate_with"
) -> tf.data.Dataset:
    """`image_batches`, with arrays shuffled; warns if batches have few classes."""
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
    # The expected number of classes in a batch of mixed images.
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
        f"The images of `{name}` {order}, judging by the first {len(classes)} batches: "
        "batch statistics need all classes in every batch. Shuffle them, as with "
        f"`{name}.unbatch().shuffle(5000).batch(250)`.",
        stacklevel=4,
    )


def watched(
    batches: Any,
    name: str,
    *,
    num_outputs: int | None = None,
    cardinality: int | None = None,
    before: int = 0,
) -> Iterator[Any]:
    """Yields batches, and checks them while reading.

    Raises if there are none, counting those read `before`, or if labels are not of
    `num_outputs` classes, if given. Warns after many batches of an unknown number.
    """
    if cardinality is None:
        cardinality = int(batches.cardinality())
    number = 0
    for number, batch in enumerate(batches, 1):
        if num_outputs is not None:
            check_labels(batch[1], num_outputs, name)
        yield batch
        if cardinality < 0 and number % _BATCHES_TO_TELL == 0:
            _LOG.info(f"{number:,} batches of `{name}` read so far")
        if cardinality < 0 and number == _BATCHES_TO_WARN:
            warnings.warn(
                f"`{name}` has yielded {number:,} batches, of an unknown number "
                f"in all. If it never ends, pass `{name}.take(batches)`.",
                stacklevel=3,
            )
    check_not_empty(number + before, name)


def labelled_batches(
    data: Batches, model: keras.Model | None = None, name: str = "dataset"
) -> tf.data.Dataset:
    """Batches of images, in the dtype of a model, and labels, integers or one-hot."""
    dataset = _ending(data, name)
    spec = dataset.element_spec
    if not (
        isinstance(spec, tuple)
        and len(spec) == 2
        and _is_numeric(spec[1])
        and spec[1].shape.rank in (None, 1, 2)
    ):
        raise ValueError(
            f"`{name}` needs batches of images and labels, integer (batch,) or one-hot "
            f"(batch, classes). Received batches of {_described(spec)}."
        )
    dtype = _dtype_for(model, spec[0], name)
    return dataset.map(lambda images, labels: (tf.cast(images, dtype), labels))


def are_images_alone(data: Batches) -> bool:
    """Whether there are no labels."""
    spec = data.element_spec if isinstance(data, tf.data.Dataset) else data
    return not isinstance(spec, tuple) or len(spec) == 1


def evaluation_batches(
    data: Batches, model: keras.Model | None = None, name: str = "dataset"
) -> tf.data.Dataset:
    """`labelled_batches`, or `image_batches` if there are no labels."""
    read = image_batches if are_images_alone(data) else labelled_batches
    return read(data, model, name)


def check_not_empty(count: int, name: str) -> None:
    """Raises if a data set has 0 batches or images."""
    if not count:
        raise ValueError(f"`{name}` holds no batch of images.")


def _ending(data, name):
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(f"`{name}` never ends: pass `{name}.take(batches)`.")
        check_not_empty(data.cardinality() != 0, name)
        return data
    parts = data if isinstance(data, tuple) else (data,)
    are_arrays = all(isinstance(part, (np.ndarray, tf.Tensor)) for part in parts)
    lengths = {len(part) for part in parts} if are_arrays else set()
    if len(lengths) != 1:
        raise ValueError(
            f"`{name}` must be a tf.data.Dataset of batches, an array (images, height, "
            "width, channels), or arrays of images and their labels. Received: "
            f"{type(data).__name__} of lengths {sorted(lengths)}"
        )
    check_not_empty(max(lengths), name)
    return tf.data.Dataset.from_tensor_slices(data).batch(_ARRAY_BATCH)


def _dtype_for(model, spec, name):
    """The dtype of a model's images, or of the given ones; checks their spec."""
    expected, dtype = (None, None, None), getattr(spec, "dtype", None)
    if model is not None:
        stem = getattr(model, "stem", model)  # Images go into a super-network's stem.
        require_graph(stem)
        expected, dtype = stem.inputs[0].shape[1:], stem.inputs[0].dtype
    if not _is_numeric(spec) or not spec.shape.is_compatible_with((None, *expected)):
        raise ValueError(
            f"`{name}` needs batches of images of shape {(None, *expected)}. It has "
            f"batches of {_described(spec)}."
        )
    return dtype


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
