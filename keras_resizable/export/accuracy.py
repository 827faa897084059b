"""The accuracy of `.tflite` files, or their agreement with a model."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.export.comparison import at_inference
from keras_resizable.export.flatbuffer import metadata_of_signature
from keras_resizable.export.interpreters import Runner
from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.batches import (
    Batches,
    are_images_alone,
    evaluation_batches,
    watched,
)
from keras_resizable.utils.classifier_outputs import (
    Classifier,
    check_labels,
    integer_labels,
    only_output,
)
from keras_resizable.utils.intervals import wilson_interval

# Metadata of files: whether a single output is a probability or a logit.
OUTPUTS, PROBABILITIES, LOGITS = "outputs", "probabilities", "logits"
_NO_ANSWER = -1
_TWO_SIDED_95 = 1.96


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileAccuracy:
    """The accuracy of a `.tflite` file, measured by `evaluate_tflite`.

    Attributes:
        num_images: Number of images it ran on.
        top1: Share of images that are classified correctly, from 0 to 1; None without
            labels.
        top5: Share of images whose label is among the five highest outputs; None
            without labels.
        ties: Share of images whose two highest outputs are equal; the first one counts.
        commonest_class: The most frequent class of these images; without labels, the
            reference's most frequent answer.
        commonest_share: Share of images of this class.
        agreement: Share of images with the reference's answer; None without a
            reference.
        difference: Its top-1 minus the reference's; without labels, its agreement
            minus 1.
        standard_error: Standard error of the difference, over images.
    """

    num_images: int
    top1: float | None = None
    top5: float | None = None
    ties: float
    commonest_class: int
    commonest_share: float
    agreement: float | None = None
    difference: float | None = None
    standard_error: float | None = None

    def loses(self, limit: float) -> bool:
        """Whether it loses more top-1 than `limit`, e.g. 0.02, with 95 % confidence."""
        return self._bound_of_loss(-1) > limit

    def may_lose(self, limit: float) -> bool:
        """Whether the images are too few to show that it loses at most `limit`."""
        return self._bound_of_loss(1) > limit

    def _bound_of_loss(self, sign):
        if self.top1 is None:
            low, high = self._agreement_interval()
            return 1 - (low if sign > 0 else high)
        if self.difference is None or self.standard_error is None:
            return -np.inf
        return -self.difference + sign * _TWO_SIDED_95 * self.standard_error

    def _agreement_interval(self):
        assert self.agreement is not None  # Without labels there is a reference.
        return wilson_interval(self.agreement, self.num_images)

    def __str__(self) -> str:
        if self.top1 is None:
            low, high = self._agreement_interval()
            text = f"agreement with Keras {100 * (self.agreement or 0):.2f} %"
            text += f" (95 %: {100 * low:.2f} to {100 * high:.2f})"
        else:
            error = (self.top1 * (1 - self.top1) / self.num_images) ** 0.5
            text = f"top-1 {100 * self.top1:.2f} ± {100 * _TWO_SIDED_95 * error:.2f} %"
        if self.top5 is not None and self.top5 < 1:
            text += f", top-5 {100 * self.top5:.2f} %"
        text += f" on {self.num_images:,} images"
        if self.top1 is None:
            return f"{text}, {100 * self.ties:.1f} % ties"
        if self.difference is not None and self.standard_error is not None:
            error = 100 * _TWO_SIDED_95 * self.standard_error
            text += f": {100 * self.difference:+.2f} ± {error:.2f} points against Keras"
            text += f", the same answer for {100 * (self.agreement or 0):.1f} %"
        return f"{text}, {100 * self.ties:.1f} % ties"

    def as_metadata(self) -> dict[str, Any]:
        """Its attributes by name for JSON, without any that are None."""
        values = dataclasses.asdict(self).items()
        return {name: value for name, value in values if value is not None}


def kind_of_outputs(model: keras.Model) -> dict[str, str]:
    """Whether a single output is a probability or a logit, as metadata; else empty."""
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
    """Measures the accuracy of a `.tflite` file by running it.

    NaN outputs count as wrong. Outputs `(batch, 1)` of a third-party file are read as
    probabilities if all are from 0 to 1, otherwise as logits.

    Args:
        path: Path of a classifier's file, from any tool, with one input and outputs
            `(batch, classes)`, or `(batch, 1)` for two classes.
        dataset: `tf.data.Dataset` of batches of images and labels, integers or one-hot;
            or both as a tuple of arrays. Images are float32 even for an int8 file.
            Without labels the file's answers are compared with those of `compare_with`.
        signature: Name of a signature, as in `to_bundle`; by default the first.
        compare_with: A reference to compare with: a callable from images to outputs,
            such as the sub-network that was converted.

    Returns:
        A `FileAccuracy`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, has no such signature or does not classify, or
            `dataset` is not valid or has neither labels nor a reference.

    Example:

    >>> import pathlib, tempfile
    >>> import keras
    >>> import numpy as np
    >>> from keras_resizable import export
    >>> images = keras.Input((32, 32, 3))
    >>> x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(images))
    >>> model = keras.Model(images, keras.layers.Dense(10, "softmax")(x))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sub.tflite"
    >>> _ = export.to_tflite(model, path)
    >>> photos = np.random.random((4, 32, 32, 3)).astype("float32"), np.arange(4)
    >>> export.evaluate_tflite(path, photos, compare_with=model).agreement
    1.0
    """
    run = Runner(path, signature).only_output
    reference = None if compare_with is None else at_inference(compare_with)
    batches = evaluation_batches(dataset)
    has_labels = not are_images_alone(batches)
    if not has_labels and compare_with is None:
        raise ValueError(
            "`dataset` has images without labels: pass `compare_with=model` to compare "
            "the file's answers with a model's."
        )
    outputs, compared, labels = [], [], []
    for batch in watched(batches, "dataset"):
        images, *of_batch = batch if has_labels else (batch,)
        output = run(images.numpy())
        if output.ndim != 2:
            raise ValueError(
                f"A classifier must return (batch, classes). {path} returns "
                f"{output.shape}."
            )
        outputs.append(output)
        for batch_labels in of_batch:
            check_labels(batch_labels, output.shape[1])
            labels.append(integer_labels(batch_labels).numpy())
        if reference is not None:
            compared.append(np.asarray(only_output(reference(images)), np.float32))
    output = np.concatenate(outputs)
    threshold = _threshold(path, signature, output) if output.shape[1] == 1 else None
    answers = _answers(output, threshold)
    others = np.zeros(0, int)
    if compared:
        others = _answers(np.concatenate(compared), threshold)[:, 0]
    label = np.concatenate(labels) if has_labels else others
    right = (answers[:, 0] == label) & (label != _NO_ANSWER)
    counts = np.bincount(np.maximum(label, 0))
    measured: dict[str, Any] = {
        "num_images": len(label),
        "ties": float(_ties(output).mean()),
        "commonest_class": int(counts.argmax()),
        "commonest_share": float(counts.max() / len(label)),
    }
    if has_labels:
        among_five = (answers == label[:, np.newaxis]).any(axis=1)
        measured |= {"top1": float(right.mean()), "top5": float(among_five.mean())}
    if compared:
        difference = right.astype(float) - (others == label)
        agrees = answers[:, 0] == others if has_labels else right
        measured |= {
            "agreement": float(agrees.mean()),
            "difference": float(difference.mean()),
            "standard_error": float(difference.std() / np.sqrt(len(label))),
        }
    return FileAccuracy(**measured)


def _threshold(path, signature, outputs):
    """The value above which a single output means the second class."""
    kind = metadata_of_signature(path, signature).get(OUTPUTS)
    if kind is None:
        finite = outputs[np.isfinite(outputs)]
        kind = PROBABILITIES if ((finite >= 0) & (finite <= 1)).all() else LOGITS
    return 0.5 if kind == PROBABILITIES else 0.0


def _answers(outputs, threshold=None):
    """The five classes with the highest outputs; equal outputs stay in order.

    A single output, which has a threshold, means two classes.
    """
    scores = outputs
    if threshold is not None:
        scores = np.hstack([2 * threshold - outputs, outputs])
    answers = np.argsort(-scores.astype(np.float32), axis=1, kind="stable")[:, :5]
    return np.where(np.isfinite(scores).all(axis=1, keepdims=True), answers, _NO_ANSWER)


def _ties(outputs):
    """Whether the two highest of several outputs are equal."""
    highest = np.sort(outputs, axis=1)[:, -2:]
    return (highest[:, 1:] == highest[:, :-1]).any(axis=1)
