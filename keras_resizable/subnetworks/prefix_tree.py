"""The configurations of a network as a tree, to compute shared prefixes once."""

import functools
import itertools
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from keras_resizable.space import ConfigLike, Configuration
from keras_resizable.subnetworks.calibration import (
    are_unlike,
    as_changed,
    estimating,
    joined,
    scope_of,
    tables_of,
    warn_of_images,
)
from keras_resizable.utils.keras_graph import as_graph

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork

# For each node of a `PrefixTree` the mean and the variance of each batch normalisation
# in turn, as one vector: each input tensor of a graph costs time in each call.
Statistics = dict[tuple[int, ...], tf.Tensor]
_LEVELS: weakref.WeakKeyDictionary["ResizableNetwork", list["_Level"]] = (
    weakref.WeakKeyDictionary()
)


class PrefixTree:
    """Runs many sub-networks on a batch, depth first, with shared prefixes.

    A *node* is a prefix of `(0, *scale indices, 0)`; the zeros stand for the stem and
    the head, which have no scale.
    """

    def __init__(
        self, network: "ResizableNetwork", configs: Iterable[ConfigLike]
    ) -> None:
        if network not in _LEVELS:
            strategy = network.distribute_strategy
            _LEVELS[network] = [_Level(part, strategy) for part in network.parts]
        self._levels = _LEVELS[network]
        selected = network.space.select(configs)
        self._paths = sorted(nodes_of(config)[-1] for config in selected)
        self._calibrated = self._paths
        # The path of full size, if calibration starts from its statistics.
        self._full = None
        if network.has_full_size_statistics:
            self._full = nodes_of(network.space.largest)[-1]
            self._calibrated = sorted({*self._paths, self._full})

    def statistics(self) -> Statistics:
        """The network's own batch statistics."""
        nodes = [node for path in self._calibrated for node in _prefixes(path)]
        own = functools.cache(lambda level, index: self._levels[level].own(index))
        return {node: own(len(node) - 1, node[-1]) for node in nodes}

    def calibrate(
        self, images: tf.Tensor, statistics: Statistics, seen: int
    ) -> Statistics:
        """The statistics of `seen` images updated with a batch, as `calibrate` does."""
        updated = dict(statistics)

        def run(level, features, node):
            index, seen_before = tf.constant(node[-1]), tf.constant(float(seen))
            outputs, updated[node] = level.train(
                features, index, statistics[node], seen_before
            )
            return outputs

        with_norms = [n for n, level in enumerate(self._levels, 1) if level.norms]
        depth = max(with_norms, default=0)
        for _ in self._descend(images, (), self._calibrated, run, depth):
            pass
        return updated

    def calibrated(self, estimated: Statistics) -> Statistics:
        """The statistics to use after `calibrate` has seen all batches."""
        if self._full is None:
            return estimated
        own, result = self.statistics(), {}
        if any(
            are_unlike(level.rows(own[full]), level.rows(estimated[full]))
            for level, full in zip(self._levels, _prefixes(self._full))
        ):
            warn_of_images()
        for node, vector in own.items():
            level, full = self._levels[len(node) - 1], self._full[: len(node)]
            vectors = vector, estimated[node], estimated[full]
            result[node] = level.as_one(as_changed(*map(level.rows, vectors)))
        return result

    def outputs(
        self, images: tf.Tensor, statistics: Statistics
    ) -> Iterator[tuple[tuple[int, ...], tf.Tensor]]:
        """Yields scale indices and outputs, distributed like the images."""

        def run(level, features, node):
            return level.infer(features, tf.constant(node[-1]), statistics[node])

        depth = len(self._levels)
        for node, outputs in self._descend(images, (), self._paths, run, depth):
            yield node[1:-1], outputs

    def _descend(self, features, node, paths, run, depth):
        if len(node) == depth:
            yield node, features
            return
        level = self._levels[len(node)]
        for index, below in itertools.groupby(paths, lambda path: path[len(node)]):
            child = (*node, index)
            outputs = run(level, features, child)
            yield from self._descend(outputs, child, list(below), run, depth)


def nodes_of(config: Configuration) -> list[tuple[int, ...]]:
    """The nodes of a configuration, from the stem to the head."""
    return _prefixes((0, *config.indices, 0))


def _prefixes(path):
    return [path[:length] for length in range(1, len(path) + 1)]


class _Level:
    """A part of a network as two graphs, for any scale and batch statistics."""

    def __init__(self, part, strategy):
        self._part = part
        self.norms = part.batch_norms
        self._tables = tables_of(self.norms)
        shape = part.model.inputs[0].shape
        self.infer = as_graph(
            lambda *inputs: strategy.run(self._outputs, inputs),  # On all devices.
            shape,
        )
        self.train = as_graph(self._outputs_and_statistics, shape)

    def own(self, index):
        """The network's batch statistics for a scale."""
        return self.as_one([_row(table, index) for table in self._tables])

    def rows(self, statistics):
        """The mean and the variance of each batch normalisation in turn."""
        sizes = [table.shape[-1] for table in self._tables]
        rows = tf.split(statistics, sizes) if sizes else []
        return [tf.cast(row, table.dtype) for row, table in zip(rows, self._tables)]

    def _outputs(self, features, index, statistics):
        """Outputs in inference mode."""
        with scope_of(self._tables, self.rows(statistics)):
            return self._part.run(features, index, training=False)

    def _outputs_and_statistics(self, features, index, statistics, seen):
        """Outputs in training mode, and the statistics joined with this batch's."""
        rows = self.rows(statistics)
        with estimating(self.norms, rows) as scope:
            outputs = self._part.run(features, index, training=True)
        values = map(scope.get_current_value, self._tables)
        of_batch = [_row(value, index) for value in values]
        rows = joined(rows, of_batch, seen, tf.shape(features)[0])
        return outputs, self.as_one(rows)

    def as_one(self, rows):
        if not rows:
            return tf.zeros((0,))
        dtype = keras.backend.result_type(*(table.dtype for table in self._tables))
        return tf.concat([tf.cast(row, dtype) for row in rows], axis=0)


def _row(table, index):
    """The row of a scale; the table itself in stock batch normalisation."""
    table = tf.convert_to_tensor(table)
    if table.shape.rank == 1:
        return table
    return table[index if table.shape[0] > 1 else 0]
