"""Evaluating many sub-networks in one pass over the data."""

import dataclasses
import functools
import logging
import pathlib
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.distillation import TeacherDistillation
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.query import TOP1
from keras_resizable.search.table import ImageResults, Table
from keras_resizable.space import Configuration
from keras_resizable.subnetworks.prefix_tree import PrefixTree
from keras_resizable.subnetworks.scales import digest_of_network
from keras_resizable.training.distribution import is_chief, is_multi_worker
from keras_resizable.utils.batches import (
    Batches,
    labelled_batches,
    watched,
)
from keras_resizable.utils.classifier_outputs import (
    Classifier,
    check_labels,
    integer_labels,
    only_output,
)
from keras_resizable.utils.digests import DataDigest, digest_of_data
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import read_arrays, replacing
from keras_resizable.utils.intervals import wilson_interval
from keras_resizable.utils.keras_graph import as_graph

_SECONDS_BETWEEN_SAVES = 60
_LOG = logging.getLogger(__name__)
_SAVED = ("right", "confidence", "top5", "loss")


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of sub-networks on the images so far.

    `rights` and `confidences` have an array `(configurations, images)` per batch;
    `top5`, a number of images, and `loss`, a sum, are `(configurations,)`.
    """

    rights: tuple[np.ndarray, ...]
    confidences: tuple[np.ndarray, ...]
    top5: np.ndarray
    loss: np.ndarray

    @classmethod
    def none(cls, num_configs: int) -> "Scores":
        empty = np.zeros((num_configs, 0))
        rights, confidences = (empty.astype(bool),), (empty.astype(np.float16),)
        return cls(rights, confidences, np.zeros(num_configs), np.zeros(num_configs))

    def plus(self, batch: np.ndarray) -> "Scores":
        """Adds a batch's scores, `(configurations, images, 4)` from `_make_score`."""
        right, top5, loss, confidence = np.moveaxis(batch, -1, 0)
        return Scores(
            (*self.rights, right.astype(bool)),
            (*self.confidences, confidence.astype(np.float16)),
            self.top5 + top5.sum(axis=1, dtype=np.float64),
            self.loss + loss.sum(axis=1, dtype=np.float64),
        )

    @property
    def right(self) -> np.ndarray:
        """Boolean `(configurations, images)`, see `ImageResults`."""
        return np.concatenate(self.rights, axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """float16 `(configurations, images)`, see `ImageResults`."""
        return np.concatenate(self.confidences, axis=1)

    @property
    def means(self) -> dict[str, np.ndarray]:
        """Accuracies and loss, `(configurations,)` each, by name."""
        right = self.right
        count = right.shape[1]
        return {
            "top1": right.mean(axis=1),
            "top5": self.top5 / count,
            "loss": self.loss / count,
        }


def teacher_of(network: ResizableNetwork) -> TeacherDistillation:
    """The teacher to agree with on images without labels; raises if none is known."""
    teacher = network.find_teacher()
    if teacher is None:
        raise ValueError(
            "`dataset` has images without labels, and no model to agree with is known: "
            "call `network.compile(distillation=TeacherDistillation(model))` before."
        )
    return teacher


def answered_batches(
    images: tf.data.Dataset, teacher: TeacherDistillation
) -> tf.data.Dataset:
    """Batches of images, each with a teacher's answers as labels."""
    return images.map(lambda x: (x, tf.argmax(teacher.answers(x), axis=-1)))


def evaluate_configs(
    network: ResizableNetwork,
    dataset: tf.data.Dataset,
    configs: Sequence[Configuration],
    calibrate_with: tf.data.Dataset | None,
    path: pathlib.Path | None,
    origin: Mapping[str, str] | None,
    raw: bool,
    verbose: bool,
) -> tuple[Scores | None, Scores, dict[str, str]]:
    """Scores of sub-networks, with shared computations done once.

    Returns the scores with the statistics of training, or None without `raw`; the
    scores after calibration, if any; and `origin`, or if there is none the digest of
    the data. The data sets come from `labelled_batches` or `answered_batches`, and from
    `image_batches`. Progress is saved in the `.npz` file `path`, and resumed if its
    `origin` is the same.
    """
    evaluation = _Evaluation(network, configs, calibrate_with is not None, raw, origin)
    key = repr((origin, configs, raw))
    if path is not None and path.exists():
        evaluation.restore(path, key)
    saves = path is not None and is_chief(network.distribute_strategy)
    last_save = time.monotonic()
    try:
        for _ in evaluation.run(dataset, calibrate_with, verbose):
            if saves and time.monotonic() - last_save > _SECONDS_BETWEEN_SAVES:
                evaluation.save(path, key)
                last_save = time.monotonic()
    except BaseException:
        if saves:
            evaluation.save(path, key)
        raise
    scores = evaluation.done.scores  # Raw scores, calibrated ones, or both.
    raw_scores = scores[0] if evaluation.kinds[0] == "raw" else None
    if evaluation.digest is not None:
        origin = {"data": evaluation.digest.text()}
    return raw_scores, scores[-1], dict(origin or {})


def evaluate_model(
    model: keras.Model, dataset: Batches, name: str, score: str = TOP1
) -> Table:
    """A table with one row, for any classifier, by a name instead of a configuration.

    `dataset` has batches of images and labels, as in `build_table`, and `score` names
    the share of right answers.
    """
    classifier = Classifier(model)
    judge = _make_score(classifier, tf.distribute.get_strategy())
    run = as_graph(functools.partial(model, training=False))
    scores, seen = Scores.none(1), DataDigest()
    batches = labelled_batches(dataset, model)
    outputs = classifier.num_outputs
    for images, labels in watched(batches, "dataset", num_outputs=outputs):
        seen.add((images, labels))
        scores = scores.plus(judge(run(images), labels).numpy()[None])
    origin = {
        "network": digest_of_network(model),
        "data": seen.text(),
        "calibration": digest_of_data(None),
    }
    return table_of([name], scores, origin, score, params=model.count_params())


def table_of(
    names: Sequence[str],
    scores: Scores,
    origin: Mapping[str, str],
    score: str = TOP1,
    **columns: Any,
) -> Table:
    """A table of scores, with further columns before them.

    `score` names the share of right answers. With labels, top-5 and the loss follow.
    """
    pandas = import_extra("pandas", "search")
    right, means = scores.right, scores.means
    low, high = zip(*(wilson_interval(of.mean(), of.size) for of in right))
    frame = pandas.DataFrame(
        {
            "config": names,
            **columns,
            score: means["top1"],
            f"{score}_low": low,
            f"{score}_high": high,
        }
    )
    if score == TOP1:
        frame = frame.assign(top5=means["top5"], loss=means["loss"])
    if bad := [name for name, x in zip(names, scores.loss) if not np.isfinite(x)]:
        warnings.warn(
            f"These sub-networks return NaN or infinity on some images, which counts "
            f"as wrong: {'; '.join(bad)}.",
            stacklevel=3,
        )
    results = map(ImageResults, right, scores.confidence)
    return Table(frame, dict(zip(names, results)), origin)


class _Done(NamedTuple):
    """Progress so far, replaced at once, so that an interruption leaves it complete."""

    calibrated: int  # Number of batches of `statistics`.
    seen: int  # Number of images in them.
    statistics: dict  # By the nodes of the tree.
    evaluated: int  # Number of batches of `scores`.
    scores: tuple[Scores, ...]  # By `_Evaluation.kinds`.


class _Evaluation:
    def __init__(self, network, configs, calibrates, raw, origin):
        strategy = network.distribute_strategy
        self._network = network
        self._tree = PrefixTree(network, configs)
        self._indices = [config.indices for config in configs]
        self._score = _make_score(network.classifier, strategy)
        self._own_statistics = self._tree.statistics()
        self.kinds = ["raw"] * (raw or not calibrates) + ["calibrated"] * calibrates
        scores = (Scores.none(len(configs)),) * len(self.kinds)
        self.done = _Done(0, 0, self._own_statistics, 0, scores)
        self.digest = None if origin or is_multi_worker(strategy) else DataDigest()

    def run(self, dataset, calibrate_with, verbose):
        """Calibrates and evaluates; yields after each batch."""
        if calibrate_with is not None:
            yield from self._calibrate(calibrate_with, verbose)
        yield from self._evaluate(dataset, verbose)

    def _calibrate(self, dataset, verbose):
        dataset = dataset.skip(self.done.calibrated)
        progress = _progress("Calibrating", dataset, 1, verbose)
        before = self.done.calibrated
        for images in watched(dataset, "calibrate_with", before=before):
            calibrated, seen, statistics, *_ = self.done
            self.done = self.done._replace(
                calibrated=calibrated + 1,
                seen=seen + len(images),
                statistics=self._tree.calibrate(images, statistics, seen),
            )
            progress.add(1)
            yield

    def _evaluate(self, dataset, verbose):
        dataset = dataset.skip(self.done.evaluated)
        all_statistics = [
            self._own_statistics
            if kind == "raw"
            else self._tree.calibrated(self.done.statistics)
            for kind in self.kinds
        ]
        units = len(all_statistics) * len(self._indices)
        progress = _progress("Evaluating", dataset, units, verbose)
        strategy = self._network.distribute_strategy
        fill = _make_fill(strategy)
        distributed = strategy.experimental_distribute_dataset(dataset)
        for images, labels in watched(
            distributed,
            "dataset",
            cardinality=int(dataset.cardinality()),
            before=self.done.evaluated,
        ):
            local = [
                strategy.experimental_local_results(part) for part in (images, labels)
            ]
            for of_device in local[1]:
                check_labels(of_device, self._network.classifier.num_outputs)
            if self.digest is not None:
                self.digest.add([tf.concat(parts, axis=0) for parts in local])
            filled = fill(images)
            scores = []
            for old, statistics in zip(self.done.scores, all_statistics):
                rows = {}
                for indices, outputs in self._tree.outputs(filled, statistics):
                    scored = strategy.gather(self._score(outputs, labels), axis=0)
                    rows[indices] = scored.numpy()
                    progress.add(1)
                scores.append(old.plus(np.stack([rows[i] for i in self._indices])))
            self.done = self.done._replace(
                evaluated=self.done.evaluated + 1, scores=tuple(scores)
            )
            yield

    def save(self, path, key):
        done = self.done
        counts = [done.calibrated, done.seen, done.evaluated]
        arrays: dict[str, Any] = {"key": np.array(key), "progress": np.array(counts)}
        for number, scores in enumerate(done.scores):
            for name in _SAVED:
                arrays[f"{number}/{name}"] = getattr(scores, name)
        for node, statistics in done.statistics.items():
            arrays[str(node)] = np.asarray(statistics)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)

    def restore(self, path, key):
        """Resumes from a saved file, if it has the same key."""
        arrays = read_arrays(path)
        if str(arrays.get("key")) != key or "progress" not in arrays:
            return
        calibrated, seen, evaluated = map(int, arrays["progress"])
        scores = []
        for number in range(len(self.kinds)):
            right, confidence, *sums = (arrays[f"{number}/{name}"] for name in _SAVED)
            scores.append(Scores((right,), (confidence,), *sums))
        statistics = {
            node: tf.constant(arrays[str(node)]) for node in self._own_statistics
        }
        self.done = _Done(calibrated, seen, statistics, evaluated, tuple(scores))


def _make_score(classifier, strategy):
    """A graph that judges each image, `(images, 4)` float32, on each device."""
    _ = classifier.gives_probabilities  # Found before the graph needs it.

    def score(outputs, labels):
        labels = integer_labels(labels)
        outputs = only_output(outputs)[: tf.shape(labels)[0]]
        outputs = tf.cast(outputs, tf.float32)
        right = classifier.is_right(outputs, labels)
        probabilities = classifier.probabilities(outputs)
        scores = probabilities if classifier.is_binary else outputs
        is_logits = not (classifier.is_binary or classifier.gives_probabilities)
        loss = keras.ops.sparse_categorical_crossentropy(
            labels, scores, from_logits=is_logits
        )
        top5 = tf.math.in_top_k(labels, scores, min(5, scores.shape[-1]))
        confidence = tf.reduce_max(probabilities, axis=-1)
        right, top5 = tf.cast(right, tf.float32), tf.cast(top5, tf.float32)
        return tf.stack([right, top5, loss, confidence], axis=-1)

    return as_graph(lambda outputs, labels: strategy.run(score, (outputs, labels)))


def _make_fill(strategy):
    """A graph that gives a black image to each device that got none.

    TensorFlow's convolutions on CPUs return an input of no images unchanged.
    """

    def fill(images):
        missing = 1 - tf.minimum(tf.shape(images)[0], 1)
        return tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])

    return as_graph(lambda images: strategy.run(fill, (images,)))


def _progress(title, dataset, units, verbose):
    batches = int(dataset.cardinality())
    _LOG.info(title)
    return keras.utils.Progbar(
        batches * units if batches >= 0 else None, verbose=int(verbose)
    )
