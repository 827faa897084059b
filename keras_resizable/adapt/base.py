"""The base class of networks that choose a sub-network for each image."""

import abc
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable import export
from keras_resizable.export.saved_model import signature_name
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import ConfigLike, Configuration
from keras_resizable.subnetworks.calibration import batch_norms, calibrate, tables_of
from keras_resizable.subnetworks.pieces import cut_piece, pieces_of_configs
from keras_resizable.subnetworks.prefix_tree import nodes_of
from keras_resizable.utils.batches import (
    Batches,
    labelled_batches,
    watched,
)
from keras_resizable.utils.classifier_outputs import (
    Classifier,
    integer_labels,
    only_output,
)
from keras_resizable.utils.keras_graph import as_graph


class Candidates(keras.Model, abc.ABC):
    """Frozen sub-networks that share their common first parts.

    Subclasses define `run` and set `route_flops`: the multiply-adds for an image that
    each candidate answers, with shared computation counted once.
    """

    route_flops: list[int]

    def __init__(
        self, network: ResizableNetwork, candidates: Iterable[ConfigLike], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        configs = network.space.select(candidates)
        self.classifier = Classifier(network.head)
        self._origin = lambda: network  # Its weights are not this model's.
        self.space = network.space
        # As text, since Keras turns configurations into plain tuples.
        self._configs = list(map(str, configs))
        self._network = keras.saving.serialize_keras_object(network)
        pieces = {
            node: piece
            for config, pieces in zip(configs, pieces_of_configs(network, configs))
            for node, piece in zip(nodes_of(config), pieces)
        }
        self._numbers = {str(node): number for number, node in enumerate(pieces)}
        self._models = [cut_piece(network, piece) for piece in pieces.values()]
        for model, piece in zip(self._models, pieces.values()):
            model.name = f"part{piece.level}"
            model.trainable = False

    @property
    def candidates(self) -> list[Configuration]:
        """The configurations that may answer an image."""
        return self.space.select(self._configs)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of images."""
        return self._models[0].input_shape

    @property
    def output_shape(self) -> Any:
        """Shape of a batch of outputs."""
        return self.parts(self.candidates[0])[-1].output_shape

    @abc.abstractmethod
    def run(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs `(batch, classes)`, and the number of each image's candidate."""

    def call(self, images, training=None):
        return self.run(images)[0]

    def calibrate(self, dataset: Batches) -> None:
        """Re-estimates the batch statistics of each candidate.

        Args:
            dataset: As in `keras_resizable.calibrate`. As long as the network
                `has_full_size_statistics`, candidates are calibrated as in its
                `sub_network`; after loading, from scratch.
        """
        network = self._origin()
        if not network.has_full_size_statistics:
            for config in self.candidates:
                calibrate(self.sub_network(config), dataset)
            return
        for config in self.candidates:  # Each from the source's own statistics.
            models = self.sub_network(config), network.sub_network(config, dataset)
            tables = (tables_of(batch_norms(model)) for model in models)
            for table, value in zip(*tables, strict=True):
                table.assign(value)

    def parts(self, config: ConfigLike) -> list[keras.Model]:
        """The stem, the stages and the head of a candidate, of stock layers."""
        nodes = nodes_of(self.space.config(config))
        return [self._models[self._numbers[str(node)]] for node in nodes]

    def sub_network(self, config: ConfigLike) -> keras.Model:
        """A candidate as a frozen model of stock layers, which shares its weights."""
        return chained(self.parts(config))

    def run_parts(
        self, config: Configuration, features: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        """`features` and the outputs of further parts; the last outputs are float32."""
        features = list(features)
        for part in self.parts(config)[len(features) - 1 :]:
            features.append(part(features[-1], training=False))
        features[-1] = tf.cast(only_output(features[-1]), tf.float32)
        return features

    def export(self, filepath: str | os.PathLike, **kwargs: Any) -> None:
        (images,) = self._models[0].inputs
        signature = [keras.InputSpec(dtype=images.dtype, shape=images.shape)]
        super().export(filepath, **{"input_signature": signature} | kwargs)

    def signatures(self) -> list[tuple[str, keras.Model, dict[str, Any]]]:
        """The signatures of a file: names, models and metadata."""
        configs = self.candidates
        names = [signature_name(self.space, config) for config in configs]
        abouts: list[dict[str, Any]] = [{"config": str(config)} for config in configs]
        abouts[0]["routes"] = names
        return list(zip(names, map(self.sub_network, configs), abouts))

    def get_config(self):
        config = {"network": self._network, "candidates": self._configs}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        read = keras.saving.deserialize_keras_object
        return cls(
            **{k: read(v) if isinstance(v, dict) else v for k, v in config.items()}
        )


@dataclasses.dataclass(frozen=True)
class AdaptiveResults:
    """The results of `evaluate`.

    Attributes:
        right: Whether each image is right, boolean `(images,)`.
        routes: The number of each image's candidate, int32 `(images,)`.
        mean_flops: Average multiply-adds for an image, including the router.
    """

    right: np.ndarray
    routes: np.ndarray
    mean_flops: float

    @property
    def top1(self) -> float:
        """Accuracy, from 0 to 1."""
        return float(self.right.mean())


def evaluate(adaptive: Candidates, dataset: Batches) -> AdaptiveResults:
    """Results of a `Cascade` or an `AdaptiveNetwork`.

    Args:
        adaptive: The network.
        dataset: `tf.data.Dataset` of batches of images and labels.

    Raises:
        ValueError: If the data set is empty or never ends.
    """
    run, classifier = as_graph(adaptive.run), adaptive.classifier
    rights, routes = [], []
    batches = labelled_batches(dataset, adaptive.sub_network(adaptive.candidates[0]))
    for images, labels in watched(
        batches, "dataset", num_outputs=classifier.num_outputs
    ):
        outputs, route = run(images)
        rights.append(classifier.is_right(outputs, integer_labels(labels)).numpy())
        routes.append(route.numpy())
    taken = np.concatenate(routes)
    flops = float(np.take(adaptive.route_flops, taken).mean())
    return AdaptiveResults(np.concatenate(rights), taken, flops)


def to_tflite(
    adaptive: Candidates,
    path: str | os.PathLike,
    *,
    calibrate_with: Batches,
    quantize: str = "int8",
    io: str = "int8",
    labels: Sequence[str] | None = None,
    input_range: tuple[float, float] | None = None,
    metadata: dict[str, Any] | None = None,
) -> export.TFLiteFile:
    """Writes the candidates as the signatures of one `.tflite` file.

    Each signature starts from the image. The metadata of the first has `routes`, the
    signatures of the candidates in order, and for a `Cascade` its `thresholds`, see
    examples/cascade.py. An `AdaptiveNetwork` has another signature in front, `router`,
    which returns a probability for each candidate.

    Args:
        adaptive: A `Cascade` or an `AdaptiveNetwork`.
        path: Path of the `.tflite` file. An existing file is replaced.
        calibrate_with, quantize, io, labels, input_range, metadata: As in
            `export.to_tflite`.

    Returns:
        As `keras_resizable.export.to_bundle`.

    Raises:
        As `keras_resizable.export.to_tflite`.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, model, about in adaptive.signatures():
            paths.append(pathlib.Path(folder) / f"{name}.tflite")
            export.to_tflite(
                model,
                paths[-1],
                quantize,
                io=io,
                calibrate_with=calibrate_with,
                # The router's outputs are candidates.
                labels=None if name == "router" else labels,
                input_range=input_range,
                metadata=(metadata or {}) | about | {"signature": name},
            )
        return export.to_bundle(paths, path)


def chained(models: Sequence[keras.Model]) -> keras.Model:
    """One model after the other, with shared weights."""
    (inputs,) = models[0].inputs
    images = x = keras.Input(inputs.shape[1:], name="images", dtype=inputs.dtype)
    for model in models:
        x = model(x)
    return keras.Model(images, x)


def cost_of(
    network: ResizableNetwork, configs: Sequence[Configuration]
) -> Callable[..., int]:
    """A function `(config, after=None)`: multiply-adds without the shared ones."""
    flops = [
        [p.flops for p in pieces] for pieces in pieces_of_configs(network, configs)
    ]
    of_config = dict(zip(configs, flops))

    def cost(config, after=None):
        shared = 0 if after is None else num_shared(config, after)
        return sum(of_config[config][shared:])

    return cost


def num_shared(one: Configuration, other: Configuration) -> int:
    """The number of parts, from the stem on, that two sub-networks share."""
    return len({*nodes_of(one)} & {*nodes_of(other)})
