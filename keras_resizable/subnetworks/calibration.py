"""Re-estimating batch statistics."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.utils.arguments import integer
from keras_resizable.utils.batches import (
    Batches,
    images_in_random_order,
    watched,
)
from keras_resizable.utils.keras_graph import as_graph, layers_of

_MOST = 100.0  # The largest factor by which a variance may change from full size.
# The factor between variances, in the median channel of a layer, beyond which images
# are unlike those of the training. In a ResNet-20, 16 images of the training set, other
# photos, images of one class, mirrored colours and 16 copies of one image reach 1.5;
# images in [0, 1] instead of [-1, 1] or at half the contrast 3, black ones 5.
_UNLIKE = 2.5
_LEAST_VARIANCE = 1e-3


def calibrate(model: keras.Model, dataset: Batches, steps: int | None = None) -> None:
    """Re-estimates a model's batch statistics, in place.

    The moving mean and variance of every batch normalisation become the mean and
    variance of its inputs over all images, in training mode: each batch is normalised
    by its own statistics. Nothing else changes. In a super-network only the rows of
    `network.config` change: work on a copy if other configurations share them.

    Args:
        model: A `keras.Model`, such as a sub-network, or a `ResizableNetwork`.
        dataset: `tf.data.Dataset` of batches of images, alone or followed by targets;
            or images as one array. Use a few thousand training images without
            augmentation, in random order, in batches of a few hundred from all classes.
            Layers for augmentation or dropout stay active, as in training.
        steps: Number of batches to use; by default all.

    Raises:
        ValueError: If the data set is empty or never ends, or `steps` is less than 1.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> import numpy as np
    >>> images = np.arange(24.0).reshape(6, 2, 2, 1).astype("float32")
    >>> model = keras.Sequential([keras.layers.BatchNormalization()])
    >>> model.build((None, 2, 2, 1))
    >>> keras_resizable.calibrate(model, images)
    >>> float(model.layers[0].moving_mean[0])
    11.5
    """
    make_calibrator(model)(dataset, steps)


def make_calibrator(model: keras.Model) -> Callable[..., None]:
    """A function that does `calibrate` for the model, traced only once."""
    norms = batch_norms(model)
    tables = tables_of(norms)

    @as_graph
    def update(images, statistics, seen):
        with estimating(norms, statistics) as scope:
            model(images, training=True)
        of_batch = [scope.get_current_value(table) for table in tables]
        return joined(statistics, of_batch, seen, tf.shape(images)[0])

    def calibrate(dataset, steps=None):
        if steps is not None:
            integer("steps", steps, 1)
        if steps is not None and isinstance(dataset, tf.data.Dataset):
            dataset = dataset.take(steps)  # The data set may be endless.
        statistics = [tf.convert_to_tensor(table) for table in tables]
        seen = 0
        batches = images_in_random_order(dataset, model, "dataset").take(steps or -1)
        for images in watched(batches, "dataset"):
            statistics = update(images, statistics, tf.constant(float(seen)))
            seen += len(images)
        for table, value in zip(tables, statistics):
            table.assign(value)

    return calibrate


def estimated_statistics(model: keras.Model, dataset: Batches) -> list[tf.Tensor]:
    """The statistics that `calibrate` would estimate; the model stays as it is.

    Each call has the same random numbers, such as those of dropout.
    """
    tables = tables_of(batch_norms(model))
    weights = set(map(id, model.weights))
    seeds = [variable for variable in model.variables if id(variable) not in weights]
    before = [(v, tf.convert_to_tensor(v)) for v in (*tables, *seeds)]
    calibrate(model, dataset)
    estimated = [tf.convert_to_tensor(table) for table in tables]
    for variable, value in before:
        variable.assign(value)
    return estimated


def calibrate_as_changed(
    model: keras.Model, reference: Sequence[tf.Tensor], dataset: Batches
) -> None:
    """Calibrates a model by how its statistics differ from a reference.

    `reference` has `estimated_statistics` of the same images, such as those at full
    size. The model's old statistics are changed by the difference, in which a bias of
    few or different images cancels out.
    """
    tables = tables_of(batch_norms(model))
    estimated = estimated_statistics(model, dataset)
    for table, value in zip(tables, as_changed(tables, estimated, reference)):
        table.assign(value)


def are_unlike(own: Sequence[tf.Tensor], estimated: Sequence[tf.Tensor]) -> bool:
    """Whether, in some layer, estimated variances are far from a model's own.

    Layers that never saw an image are skipped.
    """
    for (mean, old), (_, new) in zip(_pairs(own), _pairs(estimated)):
        if not np.any(mean) and np.all(old == 1):
            continue  # It never saw an image.
        ratios = (new.numpy() + _LEAST_VARIANCE) / (old.numpy() + _LEAST_VARIANCE)
        if np.median(np.maximum(ratios, 1 / ratios)) > _UNLIKE:
            return True
    return False


def warn_of_images() -> None:
    """Warns that images are unlike those of the training."""
    warnings.warn(
        "The images to calibrate with are unlike those of the training: in a layer, "
        f"most features vary more than {_UNLIKE} times as much, or as little. Check "
        "that their values are in the range that the network takes, such as [-1, 1] or "
        "[0, 255].",
        stacklevel=4,
    )


def as_changed(
    statistics: Sequence[tf.Tensor],
    estimated: Sequence[tf.Tensor],
    at_full_size: Sequence[tf.Tensor],
) -> list[tf.Tensor]:
    """Statistics changed by two estimates: means by difference, variances by ratio.

    A variance that is 0 at full size stays; none changes more than 100 times.
    """
    results = []
    for old, new, full in zip(*map(_pairs, (statistics, estimated, at_full_size))):
        mean = old[0] + (new[0] - full[0])
        ratio = tf.where(full[1] > 0, tf.math.divide_no_nan(new[1], full[1]), 1.0)
        ratio = tf.clip_by_value(ratio, 1 / _MOST, _MOST)
        results += [mean, old[1] * ratio]
    return results


def joined(
    statistics: Sequence[tf.Tensor],
    of_batch: Sequence[tf.Tensor],
    seen: tf.Tensor,
    count: tf.Tensor,
) -> list[tf.Tensor]:
    """Joins the statistics of `seen` images with a batch's (law of total variance)."""
    seen = tf.cast(seen, tf.float32)
    count = tf.cast(count, tf.float32)
    part = count / (seen + count)
    results = []
    for old, new, before in zip(
        _pairs(statistics), _pairs(of_batch), _pairs(_recoverable(statistics))
    ):
        (mean, variance), (batch_mean, batch_variance) = old, new
        ours, theirs = tf.cast(part, mean.dtype), tf.cast(1 - part, mean.dtype)
        step = batch_mean - mean
        spread = variance + ours * (batch_variance - variance)
        spread += ours * theirs * step**2
        # Values that the batch did not change were not estimated, and stay.
        left = (batch_mean == before[0]) & (batch_variance == before[1])
        results += [
            tf.where(left, value, tf.where(seen == 0, of_new, of_both))
            for value, of_new, of_both in zip(old, new, (mean + ours * step, spread))
        ]
    return results


def _pairs(statistics):
    return zip(statistics[::2], statistics[1::2])


@contextlib.contextmanager
def estimating(
    norms: Sequence[keras.layers.Layer], statistics: Sequence[tf.Tensor]
) -> Iterator[keras.StatelessScope]:
    """A scope in which batch normalisations, even frozen ones, estimate statistics."""
    settings = [(norm.momentum, norm.trainable) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.trainable = True
    try:
        with scope_of(tables_of(norms), _recoverable(statistics)) as scope:
            yield scope
    finally:
        for norm, (momentum, trainable) in zip(norms, settings):
            norm.momentum = momentum
            norm.trainable = trainable


def _recoverable(statistics):
    """Statistics without NaN, which a momentum of 0 would keep; a variance of -1."""
    results = []
    for mean, variance in _pairs(statistics):
        finite = tf.math.is_finite(mean) & tf.math.is_finite(variance)
        results.append(tf.where(finite, mean, tf.zeros_like(mean)))
        results.append(tf.where(finite, variance, -tf.ones_like(variance)))
    return results


def scope_of(
    tables: Sequence[keras.Variable], values: Sequence[tf.Tensor]
) -> keras.StatelessScope:
    """A scope in which tables of batch statistics, or all their rows, have `values`."""
    pairs = zip(tables, values)
    return keras.StatelessScope([(t, tf.broadcast_to(v, t.shape)) for t, v in pairs])


def batch_norms(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All batch normalisations of a model, including those inside layers."""
    kinds = (keras.layers.BatchNormalization, ScaleAwareBatchNorm)
    return [layer for layer in layers_of(model) if isinstance(layer, kinds)]


def tables_of(norms: Iterable[keras.layers.Layer]) -> list[keras.Variable]:
    """The moving mean and variance of each batch normalisation in turn."""
    return [
        table for norm in norms for table in (norm.moving_mean, norm.moving_variance)
    ]
