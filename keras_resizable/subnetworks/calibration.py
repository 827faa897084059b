"""Re-estimating batch statistics."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.utils.batches import (
    Batches,
    check_not_empty,
    images_in_random_order,
    watched,
)
from keras_resizable.utils.graph import as_graph, layers_of

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork


def calibrate(model: keras.Model, dataset: Batches, steps: int | None = None) -> None:
    """Re-estimates a model's batch statistics, in place.

    The moving mean and variance of every batch normalisation become those of its inputs
    while training mode normalises each batch by itself, whatever they were before. A
    batch is weighted by its images, and the variance is that of all images, so for a
    layer that sees the images themselves neither their order nor the batch size
    matters. For deeper layers it does, as every batch is normalised by itself: best are
    a few hundred images a batch, of all classes.

    Nothing else changes. In a super-network only the rows of `network.config` do: work
    on a copy if other configurations share them.

    Args:
        model: A `keras.Model`, such as a sub-network, or a `ResizableNetwork`.
        dataset: `tf.data.Dataset` of batches of images, alone or followed by targets;
            or images as one array. Best are a few thousand images that the model was
            trained with, in random order, without augmentation. Layers of the model
            that augment or drop by chance do so here, as in training.
        steps: Number of batches to use; all if absent.

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
    """A function `(dataset, steps)` that calibrates again and again.

    It is `calibrate` of the model, with a graph that is traced once.
    """
    norms = batch_norms(model)
    tables = tables_of(norms)

    @as_graph
    def update(images, statistics, seen):
        with estimating(norms), scope_of(tables, recoverable(statistics)) as scope:
            model(images, training=True)
        of_batch = [scope.get_current_value(table) for table in tables]
        return joined(statistics, of_batch, seen, tf.shape(images)[0])

    def calibrate(dataset, steps=None):
        if steps is not None and steps < 1:
            raise ValueError(f"`steps` is at least 1. Received: steps={steps}")
        if steps is not None and isinstance(dataset, tf.data.Dataset):
            dataset = dataset.take(steps)  # Of one that never ends, too.
        statistics = [tf.convert_to_tensor(table) for table in tables]
        seen = 0
        batches = images_in_random_order(dataset, model, "dataset").take(steps or -1)
        for images in watched(batches, "dataset"):
            statistics = update(images, statistics, tf.constant(float(seen)))
            seen += len(images)
        check_not_empty(seen, "dataset")
        for table, value in zip(tables, statistics):
            table.assign(value)

    return calibrate


def joined(
    statistics: Sequence[tf.Tensor],
    of_batch: Sequence[tf.Tensor],
    seen: tf.Tensor,
    count: tf.Tensor,
) -> list[tf.Tensor]:
    """Batch statistics of all images so far.

    Args:
        statistics: Those of the images before, a list of the mean and the variance of
            each batch normalisation in turn; of no effect if there were none.
        of_batch: Those of one more batch. Where they are the ones before, nothing was
            estimated.
        seen: Number of images before, a scalar float tensor.
        count: Number of images of the batch.

    Returns:
        Such a list. By the law of total variance, the variance is that of all images.
    """
    seen = tf.cast(seen, tf.float32)
    count = tf.cast(count, tf.float32)
    part = count / (seen + count)
    results = []
    before = recoverable(statistics)
    for number in range(0, len(statistics), 2):
        mean, variance = statistics[number : number + 2]
        batch_mean, batch_variance = of_batch[number : number + 2]
        ours, theirs = tf.cast(part, mean.dtype), tf.cast(1 - part, mean.dtype)
        step = batch_mean - mean
        spread = variance + ours * (batch_variance - variance)
        spread += ours * theirs * step**2
        left = (batch_mean == before[number]) & (batch_variance == before[number + 1])
        for old, new, both in (
            (mean, batch_mean, mean + ours * step),
            (variance, batch_variance, spread),
        ):
            results.append(tf.where(left, old, tf.where(seen == 0, new, both)))
    return results


@contextlib.contextmanager
def estimating(norms: Sequence[keras.layers.Layer]) -> Iterator[None]:
    """Has batch normalisations take over the statistics of a batch, also frozen ones.

    Args:
        norms: Batch normalisations.
    """
    settings = [(norm.momentum, norm.trainable) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.trainable = True
    try:
        yield
    finally:
        for norm, (momentum, trainable) in zip(norms, settings):
            norm.momentum = momentum
            norm.trainable = trainable


def recoverable(statistics: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Batch statistics from which estimating can start, whatever they are.

    Batch normalisation weighs the old values by a momentum of 0, and 0 times NaN is
    NaN. Where a mean or its variance is not finite, they are 0 and -1, which no batch
    has.

    Args:
        statistics: The mean and the variance of each batch normalisation in turn.
    """
    results = []
    for mean, variance in zip(statistics[::2], statistics[1::2]):
        finite = tf.math.is_finite(mean) & tf.math.is_finite(variance)
        results.append(tf.where(finite, mean, tf.zeros_like(mean)))
        results.append(tf.where(finite, variance, -tf.ones_like(variance)))
    return results


def scope_of(
    tables: Sequence[keras.Variable], values: Sequence[tf.Tensor]
) -> keras.StatelessScope:
    """A scope in which tables of batch statistics have given values.

    Args:
        tables: Moving means and variances.
        values: Tensors of their shapes, or of a row.

    Returns:
        A `keras.StatelessScope`: nothing of the model is changed in it.
    """
    return keras.StatelessScope(
        [
            (table, tf.broadcast_to(value, table.shape))
            for table, value in zip(tables, values)
        ]
    )


def batch_norms(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All batch normalisations of a model, wherever in it they are."""
    kinds = (keras.layers.BatchNormalization, ScaleAwareBatchNorm)
    return [layer for layer in layers_of(model) if isinstance(layer, kinds)]


def tables_of(norms: Iterable[keras.layers.Layer]) -> list[keras.Variable]:
    """The moving means and variances of batch normalisations, in turn."""
    return [
        table for norm in norms for table in (norm.moving_mean, norm.moving_variance)
    ]


@contextlib.contextmanager
def restoring(network: "ResizableNetwork") -> Iterator[None]:
    """Restores a network's configuration and batch statistics at the end.

    Args:
        network: A `ResizableNetwork`.
    """
    tables = tables_of(batch_norms(network))
    before = [table.numpy() for table in tables]
    config, check_statistics = network.config, network.check_statistics
    try:
        yield
    finally:
        network.check_statistics = False  # It had this configuration before.
        network.config = config
        network.check_statistics = check_statistics
        with network.distribute_strategy.scope():
            for table, value in zip(tables, before):
                table.assign(value)
