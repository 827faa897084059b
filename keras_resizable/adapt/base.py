"""What the networks that choose a sub-network for each image share."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.network import ResizableNetwork
from keras_resizable.space import ConfigLike, Configuration
from keras_resizable.subnetworks.cutting import Cut, copy_state
from keras_resizable.subnetworks.pieces import pieces_of_configs
from keras_resizable.subnetworks.tree import PrefixTree, nodes_of
from keras_resizable.utils.batches import (
    Batches,
    check_not_empty,
    images_in_random_order,
    watched,
)
from keras_resizable.utils.outputs import Classifier, only_output


class FrozenNetwork(keras.Model):
    """A frozen copy of a network, with batch statistics for each of its candidates.

    Args:
        network: A `ResizableNetwork` that classifies, with a fixed input shape.
        candidates: Configurations that images may be answered by, at least two.

    Attributes:
        route_flops: Multiply-adds for an image that is answered by each candidate,
            where what runs for several of them counts once.
    """

    route_flops: list[int]

    def __init__(
        self,
        network: ResizableNetwork,
        candidates: Sequence[Configuration],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Not compiled: an optimizer would be saved too.
        copy = type(network).from_config(network.get_config())
        copy_state(network, copy)
        copy.trainable = False
        self.network = copy
        # As text, since Keras makes plain tuples of the configurations it is given.
        self._candidates = list(map(str, candidates))
        self._tree = PrefixTree(copy, candidates)
        # Apart, as TensorFlow stores no dictionary whose keys are no texts.
        statistics = self._tree.statistics()
        self._nodes = list(statistics)
        self._weights_of_nodes = [
            self.add_weight(
                shape=value.shape,
                initializer=lambda shape, dtype, value=value: tf.cast(value, dtype),
                trainable=False,
                autocast=False,
                name="statistics",
            )
            for value in statistics.values()
        ]

    @property
    def candidates(self) -> list[Configuration]:
        """The configurations that images may be answered by."""
        return self.network.space.select(self._candidates)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of images."""
        return self.network.input_shape

    @property
    def output_shape(self) -> Any:
        """Shape of a batch of outputs."""
        return self.network.output_shape

    def run(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs `(batch, classes)`, and for each image the number of its candidate.

        Args:
            images: `(batch, height, width, channels)`.
        """
        raise NotImplementedError

    def call(self, images, training=None):
        return self.run(images)[0]

    def calibrate(self, dataset: Batches) -> None:
        """Re-estimates the batch statistics of each candidate.

        Args:
            dataset: As `keras_resizable.calibrate` has it.

        Raises:
            ValueError: If there is no batch, or no end of them.
        """
        statistics, seen = self._statistics(), 0
        batches = images_in_random_order(dataset, self.network, "dataset")
        for images in watched(batches, "dataset"):
            statistics = self._tree.calibrate(images, statistics, seen)
            seen += len(images)
        check_not_empty(seen, "dataset")
        for node, weight in zip(self._nodes, self._weights_of_nodes):
            weight.assign(statistics[node])

    def sub_network(self, config: ConfigLike) -> keras.Model:
        """A candidate as a frozen model of stock layers."""
        return self.cut_out(config, len(self.network.parts))

    def cut_out(self, config: ConfigLike, num_parts: int) -> keras.Model:
        """Frozen copies of the first parts of a candidate, from the stem on."""
        network, statistics = self.network, self._statistics()
        (inputs,) = network.stem.inputs
        images = x = keras.Input(inputs.shape[1:], name="images", dtype=inputs.dtype)
        cut = Cut()
        nodes = nodes_of(network.space.config(config))[:num_parts]
        for part, node in zip(network.parts, nodes):
            x = part.cut_out(x, node[-1], cut)
            rows = self._tree.rows(node, statistics[node])
            for norm, mean, variance in zip(part.batch_norms, rows[::2], rows[1::2]):
                copy = cut.copy_of(norm)
                copy.moving_mean.assign(mean)
                copy.moving_variance.assign(variance)
        model = keras.Model(images, x, name=network.name)
        model.trainable = False
        return model

    def run_parts(
        self, config: Configuration, features: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        """What a candidate computes, part by part, in float32 at the end.

        Args:
            config: A candidate.
            features: The images, and what its first parts have made of them.
        """
        features, statistics = list(features), self._statistics()
        for node in nodes_of(config)[len(features) - 1 :]:
            features.append(self._tree.run(features[-1], node, statistics))
        features[-1] = tf.cast(only_output(features[-1]), tf.float32)
        return features

    def export(self, filepath: str | os.PathLike, **kwargs: Any) -> None:
        """Exports what `call` computes, as `keras.Model.export` does."""
        (images,) = self.network.stem.inputs
        signature = [keras.InputSpec(dtype=images.dtype, shape=images.shape)]
        super().export(filepath, **{"input_signature": signature} | kwargs)

    def mean_flops(self, routes: np.ndarray) -> float:
        """Multiply-adds for an image on average, for the numbers of candidates."""
        return float(np.take(self.route_flops, routes).mean())

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        config = {"network": network, "candidates": list(self._candidates)}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**config | {"network": network})

    def _statistics(self):
        weights = map(tf.convert_to_tensor, self._weights_of_nodes)
        return dict(zip(self._nodes, weights))


def read_candidates(
    network: ResizableNetwork, candidates: Iterable[ConfigLike]
) -> list[Configuration]:
    """Configurations of a network that classifies, in the order that they are given in.

    Raises:
        ValueError: If one is not valid, there are fewer than two, or the network does
            not classify.
    """
    Classifier(network.head)
    configs = network.space.select(candidates)
    if len(configs) < 2:
        raise ValueError(f"There must be at least two candidates. Received: {configs}")
    return configs


def flops_of_parts(network: ResizableNetwork, config: Configuration) -> list[int]:
    """Multiply-adds of the stem, of each stage and of the head of a sub-network."""
    (pieces,) = pieces_of_configs(network, [config])
    return [piece.flops for piece in pieces]


def num_shared(one: Configuration, other: Configuration) -> int:
    """How many parts, from the stem on, two sub-networks have in common."""
    shared = 1
    for own, others in zip(one, other):
        if own != others:
            break
        shared += 1
    return shared
