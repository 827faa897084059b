"""What `.tflite` files answer on labelled images."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.export.flatbuffer import metadata_of_signature
from keras_resizable.export.running import open_runner
from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.batches import (
    Batches,
    check_not_empty,
    labelled_batches,
    watched,
)
from keras_resizable.utils.outputs import (
    Classifier,
    check_labels,
    integer_labels,
    only_output,
)

# Metadata of files: whether a single output is a probability or a logit.
OUTPUTS, PROBABILITIES, LOGITS = "outputs", "probabilities", "logits"
_TOP = 5
_NO_ANSWER = -1
_TWO_SIDED_95 = 1.96


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileAccuracy:
    """How accurate a `.tflite` file is, as `evaluate_tflite` measured it.

    Attributes:
        num_images: Number of images it ran on.
        top1: Share of images whose label is the answer, from 0 to 1.
        top5: Share whose label is among the first five.
        ties: Share whose two highest outputs are equal, as int8 is coarse: then the
            first is the answer.
        commonest_class: The class that most images have.
        commonest_share: Share of images that have it: the accuracy of always giving
            this answer.
        agreement: Share with the same answer as what it is compared with; None if that
            is nothing, as the next ones are.
        difference: Its top-1 minus that of what it is compared with.
        standard_error: Of the difference, over images.
    """

    num_images: int
    top1: float
    top5: float
    ties: float
    commonest_class: int
    commonest_share: float
    agreement: float | None = None
    difference: float | None = None
    standard_error: float | None = None

    def loses(self, limit: float) -> bool:
        """Whether it loses more than a limit, with 95 % confidence.

        Args:
            limit: A difference of top-1, such as 0.02 for two points.
        """
        if self.difference is None or self.standard_error is None:
            return False
        return -self.difference - _TWO_SIDED_95 * self.standard_error > limit

    def may_lose(self, limit: float) -> bool:
        """Whether its images are too few to tell that it loses no more than a limit.

        Args:
            limit: A difference of top-1, such as 0.02 for two points.
        """
        if self.difference is None or self.standard_error is None:
            return False
        return -self.difference + _TWO_SIDED_95 * self.standard_error > limit

    def __str__(self) -> str:
        error = 100 * _TWO_SIDED_95 * self._standard_error_of_top1
        text = f"top-1 {100 * self.top1:.2f} ± {error:.2f} %"
        if self.top5 < 1:
            text += f", top-5 {100 * self.top5:.2f} %"
        text += f" on {self.num_images:,} images"
        if self.difference is None or self.standard_error is None:
            return f"{text}, {100 * self.ties:.1f} % ties"
        error = 100 * _TWO_SIDED_95 * self.standard_error
        return (
            f"{text}: {100 * self.difference:+.2f} ± {error:.2f} points against Keras, "
            f"{100 * (self.agreement or 0):.1f} % the same answers, "
            f"{100 * self.ties:.1f} % ties"
        )

    @property
    def _standard_error_of_top1(self):
        return (self.top1 * (1 - self.top1) / self.num_images) ** 0.5

    def as_metadata(self) -> Mapping[str, Any]:
        """What the metadata of a file says of it."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None
        }


def kind_of_outputs(model: keras.Model) -> dict[str, str]:
    """What the metadata of a file says of a single output for two classes.

    Args:
        model: A `keras.Model`, or a `ResizableNetwork`.

    Returns:
        A dictionary, empty for other outputs, or if it cannot be told.
    """
    try:
        is_ours = isinstance(model, ResizableNetwork)
        classifier = model.classifier if is_ours else Classifier(model)
        if not classifier.is_binary:
            return {}
        return {OUTPUTS: PROBABILITIES if classifier.gives_probabilities else LOGITS}
    except ValueError:
        return {}


def evaluate_tflite(
    path: str | os.PathLike,
    dataset: Batches,
    *,
    signature: str | None = None,
    compare_with: Callable[[tf.Tensor], Any] | None = None,
) -> FileAccuracy:
    """How accurate a `.tflite` file is, by running it.

    Args:
        path: Path of a file of a classifier, `(batch, classes)`, or `(batch, 1)` of two
            classes, with one input. Any file of this library will do, and those of
            others. Answers that are NaN count as wrong. Of `(batch, 1)` the metadata of
            this library's files say whether they are probabilities or logits; those of
            others are taken for probabilities if all are from 0 to 1.
        dataset: `tf.data.Dataset` of batches of images and labels, integers or one-hot;
            or both as a tuple of arrays. Images are float32 as the model takes them:
            for an int8 file they are quantized.
        signature: Name of a signature, of a file with several, as `to_bundle` writes
            them; the first if absent.
        compare_with: A callable from images to outputs, such as the sub-network that
            the file was made of.

    Returns:
        A `FileAccuracy`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, has no such signature or does not classify, or
            `dataset` is not valid.
        ImportError: If the extra `tflite` is not installed.

    Example:

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import keras_resizable
    >>> from keras_resizable import export
    >>> model = keras_resizable.ResNet20((1.0, 0.5), width=0.25).sub_network("0.5")
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sub.tflite"
    >>> _ = export.to_tflite(model, path)
    >>> photos = np.random.random((4, 32, 32, 3)).astype("float32"), np.arange(4)
    >>> export.evaluate_tflite(path, photos, compare_with=model).agreement
    1.0
    """
    run = open_runner(path, signature)
    outputs, compared, labels = [], [], []
    for images, batch_labels in watched(labelled_batches(dataset), "dataset"):
        output = run(images.numpy())
        if output.ndim != 2:
            raise ValueError(
                f"A classifier answers with (batch, classes). {path} answers with "
                f"{output.shape}."
            )
        check_labels(batch_labels, output.shape[1])
        outputs.append(output)
        labels.append(integer_labels(batch_labels).numpy())
        if compare_with is not None:
            compared.append(np.asarray(only_output(compare_with(images)), np.float32))
    check_not_empty(len(labels), "dataset")
    output, label = np.concatenate(outputs), np.concatenate(labels)
    threshold = _threshold(path, signature, output) if output.shape[1] == 1 else None
    answer = _answers(output, threshold)
    right = answer == label
    measured: dict[str, Any] = {
        "num_images": len(label),
        "top1": float(right.mean()),
        "top5": float((_ranks(output, label, threshold) < _TOP).mean()),
        "ties": float(_ties(output).mean()),
        "commonest_class": int(np.bincount(label).argmax()),
        "commonest_share": float(np.bincount(label).max() / len(label)),
    }
    if compare_with is not None:
        other = _answers(np.concatenate(compared), threshold)
        difference = right.astype(float) - (other == label)
        measured |= {
            "agreement": float((answer == other).mean()),
            "difference": float(difference.mean()),
            "standard_error": float(difference.std() / np.sqrt(len(label))),
        }
    return FileAccuracy(**measured)


def _threshold(path, signature, outputs):
    """Above what a single output stands for the second class."""
    kind = metadata_of_signature(path, signature).get(OUTPUTS)
    if kind is None:
        finite = outputs[np.isfinite(outputs)]
        kind = PROBABILITIES if ((finite >= 0) & (finite <= 1)).all() else LOGITS
    return 0.5 if kind == PROBABILITIES else 0.0


def _answers(outputs, threshold):
    """The classes that outputs stand for; of equal ones the first."""
    if outputs.shape[1] > 1:
        answers = outputs.argmax(axis=1)
    else:
        answers = (outputs[:, 0] > threshold).astype(int)
    return np.where(np.isfinite(outputs).all(axis=1), answers, _NO_ANSWER)


def _ranks(outputs, labels, threshold):
    """How many classes come before the labels; of equal ones the first does."""
    answers = _answers(outputs, threshold)
    if outputs.shape[1] == 1:
        ranks = answers != labels
    else:
        labels = labels[:, np.newaxis]
        of_labels = np.take_along_axis(outputs, labels, axis=1)
        before = np.arange(outputs.shape[1]) < labels
        ranks = ((outputs > of_labels) | (outputs == of_labels) & before).sum(axis=1)
    return np.where(answers == _NO_ANSWER, _TOP, ranks)


def _ties(outputs):
    if outputs.shape[1] == 1:
        return np.zeros(len(outputs), bool)
    first, second = np.sort(outputs, axis=1)[:, :-3:-1].T
    return first == second
