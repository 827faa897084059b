"""Evaluating networks that choose a sub-network for each image, and their files."""

import dataclasses
import functools
import os
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np

from keras_resizable import export
from keras_resizable.adapt.base import FrozenNetwork
from keras_resizable.adapt.cascade import Cascade
from keras_resizable.adapt.router import AdaptiveNetwork
from keras_resizable.export.saved_model import signature_name
from keras_resizable.utils.batches import (
    Batches,
    check_not_empty,
    labelled_batches,
    watched,
)
from keras_resizable.utils.graph import as_graph
from keras_resizable.utils.outputs import check_labels, integer_labels


@dataclasses.dataclass(frozen=True)
class AdaptiveResults:
    """Results on each image of a data set, as `evaluate` returns them.

    Attributes:
        right: Boolean `(images,)`.
        routes: int32 `(images,)`, the number of the candidate.
        mean_flops: Multiply-adds for an image on average, everything counted.
    """

    right: np.ndarray
    routes: np.ndarray
    mean_flops: float

    @property
    def top1(self) -> float:
        """The accuracy, from 0 to 1."""
        return float(self.right.mean())


def evaluate(adaptive: FrozenNetwork, dataset: Batches) -> AdaptiveResults:
    """Results of a `Cascade` or an `AdaptiveNetwork`.

    Args:
        adaptive: The network.
        dataset: `tf.data.Dataset` of batches of images and labels.

    Raises:
        ValueError: If the data set is empty or never ends.
    """
    run, classifier = as_graph(adaptive.run), adaptive.network.classifier
    rights, routes = [], []
    batches = labelled_batches(dataset, adaptive.network)
    for images, labels in watched(batches, "dataset"):
        check_labels(labels, classifier.num_outputs)
        outputs, route = run(images)
        rights.append(classifier.is_right(outputs, integer_labels(labels)).numpy())
        routes.append(route.numpy())
    check_not_empty(len(rights), "dataset")
    taken = np.concatenate(routes)
    return AdaptiveResults(np.concatenate(rights), taken, adaptive.mean_flops(taken))


def to_tflite(
    adaptive: FrozenNetwork,
    path: str | os.PathLike,
    *,
    calibrate_with: Batches,
    quantize: str = "int8",
    io: str = "int8",
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the sub-networks as the signatures of one `.tflite` file.

    The metadata of the first signature has `routes`, the names of the candidates'
    signatures in order. Of a `Cascade` the candidates are all, and it has `thresholds`
    too, see examples/cascade.py. Of an `AdaptiveNetwork` the first signature is
    `router`, which returns a probability for each. A signature starts from the image.

    Args:
        adaptive: A `Cascade` or an `AdaptiveNetwork`.
        path: Path of the `.tflite` file. An existing one is replaced.
        calibrate_with: `tf.data.Dataset` of batches of images, to estimate the ranges
            of features with and to compare outputs on.
        quantize: As in `keras_resizable.export.to_tflite`.
        io: As in `keras_resizable.export.to_tflite`.
        metadata: As in `keras_resizable.export.to_tflite`.

    Returns:
        As `keras_resizable.export.to_bundle`.

    Raises:
        As `keras_resizable.export.to_tflite`.
    """
    space, metadata = adaptive.network.space, metadata or {}
    names = [signature_name(space, config) for config in adaptive.candidates]
    models: dict[str, tuple[keras.Model, Any, dict[str, Any]]] = {}
    about: dict[str, Any] = {"routes": names}
    if isinstance(adaptive, AdaptiveNetwork):
        router = adaptive.router()
        models["router"] = router, functools.partial(router, training=False), {}
    elif isinstance(adaptive, Cascade):
        about["thresholds"] = adaptive.thresholds
    for name, config in zip(names, adaptive.candidates):
        model = adaptive.sub_network(config)
        run = functools.partial(_run_candidate, adaptive, config)
        models[name] = model, run, {"config": str(config)}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, (model, reference, of_it) in models.items():
            paths.append(pathlib.Path(folder) / f"{name}.tflite")
            export.to_tflite(
                model,
                paths[-1],
                quantize,
                io=io,
                calibrate_with=calibrate_with,
                metadata=metadata | of_it | about | {"signature": name},
                reference=reference,
            )
            about = {}
        return export.to_bundle(paths, path)


def _run_candidate(adaptive, config, images):
    return adaptive.run_parts(config, [images])[-1]
