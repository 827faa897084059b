"""A network that sends each image to a sub-network of its own."""

import os
from collections.abc import Iterable
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.adapt.budget import budget_bias
from keras_resizable.adapt.resize_learner import ResizeLearner
from keras_resizable.flops import count_flops
from keras_resizable.network import ResizableNetwork
from keras_resizable.pieces import pieces_of_configs
from keras_resizable.space import ConfigLike, Configuration
from keras_resizable.sub_network import Cut, copy_state
from keras_resizable.tree import PrefixTree, nodes_of
from keras_resizable.utils.batches import (
    Batches,
    check_not_empty,
    images_in_random_order,
    watched,
)
from keras_resizable.utils.outputs import Classifier, only_output


@keras.saving.register_keras_serializable(package="keras_resizable")
class AdaptiveNetwork(keras.Model):
    """Sends each image to a sub-network of its own.

    Resizable Neural Networks, section 3.5. The stem and the first stages run at one
    configuration, a router (`ResizeLearner`) looks at their features and chooses a
    candidate for each image, and the images of each candidate continue together, from
    the last features that they have in common with it. It keeps a frozen copy of the
    network; only `router()` is trained, by Keras's `fit`.

    Args:
        network: A `ResizableNetwork` that classifies, with a fixed input shape.
        candidates: Configurations to choose from, at least two. The one with the most
            expensive route is the target.
        attach: Number of stages that run before the router; all if absent, as in the
            paper. After fewer, more is shared by several candidates and routing is
            cheaper.
        base: The configuration that these stages run at; the candidate with the fewest
            FLOPs if absent.
        learner: The router; a `ResizeLearner` if absent.

    Call arguments:
        images: `(batch, height, width, channels)`.

    Attributes:
        candidates: The configurations, the cheapest route first.
        route_flops: FLOPs of an image on each route, with those of the first stages and
            of the router.

    Raises:
        ValueError: If a configuration is not valid, there are fewer than two
            candidates, `attach` is not from 0 to the number of stages, or the network
            or the router does not classify.

    Example:

    >>> import keras_resizable
    >>> import tensorflow as tf
    >>> from keras_resizable import adapt
    >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5), classes=3)
    >>> candidates = [(0.5, 0.5, 0.5), (1.0, 1.0, 1.0)]
    >>> adaptive = adapt.AdaptiveNetwork(network, candidates, attach=1)
    >>> adaptive(tf.zeros((4, 32, 32, 3))).shape
    TensorShape([4, 3])
    """

    def __init__(
        self,
        network: ResizableNetwork,
        candidates: Iterable[ConfigLike],
        attach: int | None = None,
        base: ConfigLike | None = None,
        learner: keras.Model | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _ = network.classifier  # It is one.
        space = network.space
        configs = space.select(candidates)
        if len(configs) < 2:
            raise ValueError(
                f"There must be at least two candidates. Received: {configs}"
            )
        attach = space.num_stages if attach is None else attach
        if not 0 <= attach <= space.num_stages:
            raise ValueError(
                f"`attach` is from 0 to {space.num_stages}, the number of stages. "
                f"Received: attach={attach}"
            )
        costs = {c: _flops_by_level(network, c) for c in configs}
        base = space.config(base or min(configs, key=lambda c: sum(costs[c])))
        self.attach = attach
        (pieces,) = pieces_of_configs(network, [base])
        first_pieces, later_pieces = pieces[: 1 + attach], pieces[1 + attach :]
        if learner is None:
            learner = ResizeLearner(later_pieces[0].input_shape, len(configs))
        if learner.output_shape[-1] != len(configs):
            raise ValueError(
                f"The router chooses from {learner.output_shape[-1]}, but there are "
                f"{len(configs)} candidates."
            )
        if not Classifier(learner).gives_probabilities:
            raise ValueError(
                "The router gives logits: it has to end in a softmax layer."
            )
        # A frozen copy, as it is compiled for nothing: an optimizer would be saved too.
        copy = type(network).from_config(network.get_config())
        copy_state(network, copy)
        copy.trainable = False
        self.network = network = copy
        self.learner = learner
        before = sum(piece.flops for piece in first_pieces) + count_flops(learner)
        route_flops = {
            c: before + sum(costs[c][self._num_shared(c, base) :]) for c in configs
        }
        configs = sorted(configs, key=lambda c: (route_flops[c], c))
        self.route_flops = [route_flops[config] for config in configs]
        # As text, since Keras makes plain tuples of the configurations it is given.
        self._base, self._candidates = str(base), list(map(str, configs))
        self._tree = PrefixTree(network, [base, *configs])
        # Apart, as TensorFlow stores no dictionary whose keys are no texts.
        statistics = self._tree.statistics()
        self._all_nodes = list(statistics)
        self._node_weights = list(map(self._weight_of, statistics.values()))
        self.bias = self.add_weight(
            shape=(len(configs),),
            initializer="zeros",
            trainable=False,
            name="bias",
            autocast=False,
        )
        self.built = True

    def _weight_of(self, statistics):
        return self.add_weight(
            shape=statistics.shape,
            initializer=lambda shape, dtype: tf.cast(statistics, dtype),
            trainable=False,
            autocast=False,
            name="statistics",
        )

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of images."""
        return self.network.input_shape

    @property
    def output_shape(self) -> Any:
        """Shape of a batch of outputs."""
        return self.network.output_shape

    @property
    def candidates(self) -> list[Configuration]:
        return self.network.space.select(self._candidates)

    @property
    def base(self) -> Configuration:
        """The configuration of the stages before the router."""
        return self.network.space.config(self._base)

    def _num_shared(self, config, base):
        """How many parts, from the stem on, a candidate need not run again."""
        shared = 1
        for own, other in zip(config[: self.attach], base):
            if own != other:
                break
            shared += 1
        return shared

    def call(self, images, training=None):
        return self.run(images)[0]

    def run(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs, and the number of the candidate that each image was sent to.

        Args:
            images: `(batch, height, width, channels)`.

        Returns:
            `(batch, classes)`, and int32 `(batch,)`.
        """
        features = self.first_features(images)
        route = self.choose(self.learner(features[-1], training=False))
        num_outputs = self.network.classifier.num_outputs
        outputs = tf.zeros((tf.shape(images)[0], num_outputs), tf.float32)
        for number, config in enumerate(self.candidates):
            outputs = self._answer(outputs, features, config, tf.where(route == number))
        return outputs, route

    def _answer(self, outputs, features, config, positions):
        """Outputs, with those of a candidate for the images at some positions."""

        def answered():
            answers = self._run_on(features, config, positions[:, 0])
            return tf.tensor_scatter_nd_update(outputs, positions, answers)

        # Convolutions on CPUs return an input of no images as it is.
        return tf.cond(tf.size(positions) > 0, answered, lambda: outputs)

    def choose(self, probabilities: tf.Tensor) -> tf.Tensor:
        """The candidates that a router's probabilities stand for.

        Args:
            probabilities: `(batch, candidates)`.

        Returns:
            int32 `(batch,)`.
        """
        scores = tf.math.log(probabilities + 1e-9) + tf.convert_to_tensor(self.bias)
        return tf.argmax(scores, axis=-1, output_type=tf.int32)

    def _nodes(self, config):
        return nodes_of(self.network.space.config(config))

    @property
    def _statistics(self):
        return dict(zip(self._all_nodes, self._node_weights))

    def _values(self):
        return {
            node: tf.convert_to_tensor(weight)
            for node, weight in self._statistics.items()
        }

    def run_candidate(self, config: ConfigLike, images: tf.Tensor) -> tf.Tensor:
        """Outputs of a candidate for all of the images.

        Args:
            config: One of `candidates`.
            images: `(batch, height, width, channels)`.
        """
        statistics, x = self._values(), images
        for node in self._nodes(config):
            x = self._tree.run(x, node, statistics)
        return tf.cast(only_output(x), tf.float32)

    def first_features(self, images: tf.Tensor) -> list[tf.Tensor]:
        """The features of the stem and of the stages before the router.

        Args:
            images: `(batch, height, width, channels)`.

        Returns:
            A list, from the stem on.
        """
        statistics, features = self._values(), [images]
        for node in self._nodes(self.base)[: 1 + self.attach]:
            features.append(self._tree.run(features[-1], node, statistics))
        return features[1:]

    def _run_on(self, features, config, picked):
        """Outputs of a candidate for some of the images."""
        shared = self._num_shared(config, self.base)
        statistics = self._values()
        x = tf.gather(features[shared - 1], picked)
        for node in self._nodes(config)[shared:]:
            x = self._tree.run(x, node, statistics)
        return tf.cast(only_output(x), tf.float32)

    def calibrate(self, dataset: Batches) -> None:
        """Re-estimates batch statistics for each candidate and the first stages.

        Args:
            dataset: `tf.data.Dataset` of batches of images, alone or followed by
                targets.

        Raises:
            ValueError: If there is no batch, or no end of them.
        """
        statistics, seen = self._values(), 0
        batches = images_in_random_order(dataset, self.network, "dataset")
        for images in watched(batches, "dataset"):
            statistics = self._tree.calibrate(images, statistics, seen)
            seen += len(images)
        check_not_empty(seen, "dataset")
        for node, weight in self._statistics.items():
            weight.assign(statistics[node])

    def router(self) -> keras.Model:
        """The router and the stages before it, as a model of stock layers to train.

        Returns:
            A functional `keras.Model` from images to probabilities. Its last part is
            `learner` itself; the rest are frozen copies.
        """
        first = self.first_stages()
        outputs = self.learner(first.output)
        return keras.Model(first.input, outputs, name=f"{self.network.name}_router")

    def first_stages(self) -> keras.Model:
        """What runs before the router, as a frozen model of stock layers.

        Returns:
            A functional `keras.Model` from images to features.
        """
        return self._cut_out(self.base, 1 + self.attach)

    def sub_network(self, config: ConfigLike) -> keras.Model:
        """A candidate as a frozen model of stock layers.

        Args:
            config: One of `candidates`.

        Returns:
            A functional `keras.Model` from images to outputs.
        """
        return self._cut_out(config, len(self.network.parts))

    def _cut_out(self, config, num_parts):
        """Frozen copies of the first parts at a configuration, from the stem on."""
        network = self.network
        (inputs,) = network.stem.inputs
        images = keras.Input(inputs.shape[1:], name="images", dtype=inputs.dtype)
        nodes = self._nodes(config)[:num_parts]
        x = images
        cut = Cut()
        for part, node in zip(network.parts, nodes):
            x = part.cut_out(x, node[-1], cut)
            rows = self._tree.rows(node, self._statistics[node])
            for norm, mean, variance in zip(part.batch_norms, rows[::2], rows[1::2]):
                copy = cut.copy_of(norm)
                copy.moving_mean.assign(mean)
                copy.moving_variance.assign(variance)
        model = keras.Model(images, x, name=network.name)
        model.trainable = False
        return model

    def export(self, filepath: str | os.PathLike, **kwargs: Any) -> None:
        """Exports what `call` computes, as `keras.Model.export` does.

        `keras_resizable.adapt.to_saved_model` tells the route of each image too.

        Args:
            filepath: Path to write to.
            **kwargs: Those of `keras.Model.export`.
        """
        (images,) = self.network.stem.inputs
        signature = [keras.InputSpec(dtype=images.dtype, shape=images.shape)]
        super().export(filepath, **{"input_signature": signature} | kwargs)

    def mean_flops(self, routes: np.ndarray) -> float:
        """FLOPs of an image on average, everything counted.

        Args:
            routes: Integers `(images,)`, the number of the candidate of each.
        """
        return float(np.take(self.route_flops, routes).mean())

    def set_budget(self, probabilities: np.ndarray, max_flops: float) -> None:
        """Sets the price of FLOPs so that their mean stays within a budget.

        Args:
            probabilities: The router's outputs for some images, preferably not those it
                was trained with, `(images, candidates)`.
            max_flops: The most FLOPs per image, on average over these images.

        Raises:
            ValueError: If even the cheapest route takes more.
        """
        self.bias.assign(budget_bias(probabilities, self.route_flops, max_flops))

    def train_step(self, data: Any) -> NoReturn:
        raise NotImplementedError(
            "Of an adaptive network only the router is trained: fit `router()`."
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "network": serialize(self.network),
            "candidates": list(self._candidates),
            "attach": self.attach,
            "base": self._base,
            "learner": serialize(self.learner),
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        parts = {name: deserialize(config[name]) for name in ("network", "learner")}
        return cls(**(config | parts))


def _flops_by_level(network, config):
    (pieces,) = pieces_of_configs(network, [config])
    return [piece.flops for piece in pieces]
