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
    estimating,
    joined,
    recoverable,
    scope_of,
    tables_of,
)
from keras_resizable.utils.graph import as_graph

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork

# Batch statistics by the nodes of a tree, see `PrefixTree`: the means and variances of
# all batch normalisations of a node in turn, as one vector.
Statistics = dict[tuple[int, ...], tf.Tensor]
_LEVELS: weakref.WeakKeyDictionary["ResizableNetwork", list["_Level"]] = (
    weakref.WeakKeyDictionary()
)


class PrefixTree:
    """Runs many sub-networks on a batch, depth first over the stages.

    Configurations that begin alike share all they compute until they differ. Only
    the features of one path from the stem to the head are held at a time.

    A *node* is a prefix of `(0, *scale indices, 0)`: the zeros are for the stem and
    the head, which have no scale.

    Args:
        network: A `ResizableNetwork`.
        configs: Configurations.
    """

    def __init__(
        self, network: "ResizableNetwork", configs: Iterable[ConfigLike]
    ) -> None:
        self._levels = _levels_of(network)
        selected = network.space.select(configs)
        self._paths = sorted(nodes_of(config)[-1] for config in selected)

    def statistics(self) -> Statistics:
        """The network's own batch statistics, in the way `calibrate` gives them."""
        nodes = [
            path[:length] for path in self._paths for length in range(1, len(path) + 1)
        ]
        own = functools.cache(lambda level, index: self._levels[level].own(index))
        return {node: own(len(node) - 1, node[-1]) for node in nodes}

    def calibrate(
        self, images: tf.Tensor, statistics: Statistics, seen: int
    ) -> Statistics:
        """Re-estimates batch statistics with one more batch.

        What `keras_resizable.calibrate` does to a sub-network, for all of them.

        Args:
            images: Batch of images.
            statistics: Dictionary from nodes to their batch statistics.
            seen: Number of images that these statistics are of.

        Returns:
            Such a dictionary.
        """
        updated = dict(statistics)

        def run(level, features, node):
            outputs, updated[node] = level.train(
                features, node[-1], statistics[node], seen
            )
            return outputs

        depth = max(
            (n for n, level in enumerate(self._levels, 1) if level.norms), default=0
        )
        for _ in self._descend(images, (), self._paths, run, depth):
            pass
        return updated

    def run(
        self, features: tf.Tensor, node: tuple[int, ...], statistics: Statistics
    ) -> tf.Tensor:
        """The outputs of one node, of the features that come in, in any graph.

        Args:
            features: Images, or the outputs of the node above.
            node: A node.
            statistics: Dictionary from nodes to their batch statistics.
        """
        level, index = self._levels[len(node) - 1], tf.constant(node[-1])
        return level.outputs(features, index, statistics[node])

    def rows(self, node: tuple[int, ...], statistics: tf.Tensor) -> list[tf.Tensor]:
        """The mean and the variance of each batch normalisation of a node in turn.

        Args:
            node: A node.
            statistics: Its batch statistics.
        """
        return self._levels[len(node) - 1].rows(statistics)

    def outputs(
        self, images: tf.Tensor, statistics: Statistics
    ) -> Iterator[tuple[tuple[int, ...], tf.Tensor]]:
        """Yields the scale indices and the outputs of each sub-network.

        Args:
            images: Batch of images, distributed if the network is.
            statistics: Dictionary from nodes to their batch statistics.
        """

        def run(level, features, node):
            return level.infer(features, node[-1], statistics[node])

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
    """The nodes of a configuration, from that of the stem to that of the head."""
    path = (0, *config.indices, 0)
    return [path[:length] for length in range(1, len(path) + 1)]


def _levels_of(network):
    """The levels of a network, with the graphs that were traced before."""
    if network not in _LEVELS:
        strategy = network.distribute_strategy
        _LEVELS[network] = [_Level(part, strategy) for part in network.parts]
    return _LEVELS[network]


class _Level:
    """A part of a network as two graphs, for any scale and batch statistics.

    Batch statistics are given as one vector, as each tensor that a graph is given costs
    time at every call.
    """

    def __init__(self, part, strategy):
        self._part = part
        self.norms = part.batch_norms
        self._tables = tables_of(self.norms)
        shape = part.model.inputs[0].shape
        self._infer = as_graph(
            lambda *inputs: strategy.run(self.outputs, inputs),  # On all devices.
            shape,
        )
        self._train = as_graph(self._outputs_and_statistics, shape)

    def own(self, index):
        """The batch statistics that the network has for a scale."""
        return self._as_one([_row(table, index) for table in self._tables])

    def infer(self, features, index, statistics):
        """Outputs of inference mode, on all devices."""
        return self._infer(features, tf.constant(index), statistics)

    def train(self, features, index, statistics, seen):
        """Outputs of training mode, and statistics with this batch averaged in."""
        seen = tf.constant(float(seen))
        return self._train(features, tf.constant(index), statistics, seen)

    def outputs(self, features, index, statistics):
        """Outputs of inference mode, on one device."""
        with scope_of(self._tables, self.rows(statistics)):
            return self._part.run(features, index, training=False)

    def _outputs_and_statistics(self, features, index, statistics, seen):
        rows = self.rows(statistics)
        before = recoverable(rows)
        with estimating(self.norms), scope_of(self._tables, before) as scope:
            outputs = self._part.run(features, index, training=True)
        of_batch = [
            _row(scope.get_current_value(table), index) for table in self._tables
        ]
        rows = joined(rows, of_batch, seen, tf.shape(features)[0])
        return outputs, self._as_one(rows)

    def _as_one(self, rows):
        if not rows:
            return tf.zeros((0,))
        dtype = keras.backend.result_type(*(table.dtype for table in self._tables))
        return tf.concat([tf.cast(row, dtype) for row in rows], axis=0)

    def rows(self, statistics):
        """The mean and the variance of each batch normalisation in turn."""
        sizes = [table.shape[-1] for table in self._tables]
        rows = tf.split(statistics, sizes) if sizes else []
        return [tf.cast(row, table.dtype) for row, table in zip(rows, self._tables)]


def _row(table, index):
    """The row of a scale; stock batch normalisations have no others."""
    table = tf.convert_to_tensor(table)
    if table.shape.rank == 1:
        return table
    return table[index if table.shape[0] > 1 else 0]
