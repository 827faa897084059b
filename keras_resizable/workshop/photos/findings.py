"""How right the chosen file of a job is, class by class, and when it is sure."""

import dataclasses
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.export.comparison import at_inference
from keras_resizable.export.interpreters import Runner
from keras_resizable.utils.classifier_outputs import Classifier
from keras_resizable.utils.intervals import wilson_interval
from keras_resizable.workshop import data
from keras_resizable.workshop.photos.material import Material
from keras_resizable.workshop.photos.phone_files import Made
from keras_resizable.workshop.recipes.building import has_center_crop

PRECISIONS = (0.9, 0.95, 0.99)
_AIM = 0.95  # Of the threshold that apps use.
_FEWEST_ANSWERS = 10  # That a threshold is estimated from.
_UNEVEN = 4  # The largest class, in photos of the smallest, from which to warn.
_MOST_MISTAKES = 48


class Answers(NamedTuple):
    """What a file answers for a split.

    Args:
        probabilities: float32 `(photos, classes)`.
        labels: int64 `(photos,)`.
        expected: The answers of the converted Keras model, `(photos,)`.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    expected: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The most probable class of each photo."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidences(self) -> np.ndarray:
        """The probability of the most probable class of each photo."""
        return self.probabilities.max(axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfClass:
    """How right the file is on one class.

    Attributes:
        name: Its name.
        num_train: Number of training photos.
        num_validation: Number of validation photos.
        num_test: Number of test photos.
        recall: Share of its test photos with the right answer, and its 95 % interval;
            None without such photos.
        precision: Share of the right answers among those that name this class, and its
            95 % interval; None without such answers.
    """

    name: str
    num_train: int
    num_validation: int
    num_test: int
    recall: tuple[float, float, float] | None
    precision: tuple[float, float, float] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold:
    """From which confidence on to trust an answer.

    Attributes:
        aim: The share of answers that should be right, on the validation photos.
        confidence: The least probability that reaches this share; None if none does.
        coverage: Share of the test photos with an answer of this confidence.
        precision: Share of the right ones among these answers; None without any.
        unknown: Share of the photos of no class that are kept out, of those that it
            was not chosen with; None without such photos.
    """

    aim: float
    confidence: float | None
    coverage: float
    precision: float | None
    unknown: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """How right the chosen file is on the test photos.

    Attributes:
        top1: Share of right answers.
        interval: Its 95 % interval.
        balanced: Mean of the recalls of all classes.
        commonest: Name and share of the most frequent class.
        classes: Each class, in the order of the file's outputs.
        confusion: Number of test photos by label and answer, `(classes, classes)`.
        mistakes: Positions of up to 48 wrongly answered test photos, most confident
            first.
        changed: Positions of the test photos whose answer is not that of the Keras
            model.
        thresholds: For each aim.
    """

    top1: float
    interval: tuple[float, float]
    balanced: float
    commonest: tuple[str, float]
    classes: tuple[OfClass, ...]
    confusion: np.ndarray
    mistakes: tuple[int, ...]
    changed: tuple[int, ...]
    thresholds: tuple[Threshold, ...]

    @property
    def weakest(self) -> OfClass:
        """The class with the lowest recall."""
        _, _, weakest = min(
            (one.recall, number, one)
            for number, one in enumerate(self.classes)
            if one.recall is not None
        )
        return weakest


def answers_of(made: Made, split: data.Split, material: Material) -> Answers:
    """The answers of a file for a split, and those of its Keras model."""
    run = Runner(made.path, made.signature).only_output
    classifier = Classifier(made.model)
    reference = at_inference(made.model)
    crop = has_center_crop(material.recipe)
    probabilities, labels, expected = [], [], []
    for images, of_batch in data.eval_dataset(
        split, material.shape, 64, center_crop=crop
    ):
        outputs = tf.constant(run(images.numpy()))
        probabilities.append(classifier.probabilities(outputs).numpy())
        labels.append(of_batch.numpy())
        given = classifier.probabilities(reference(images))
        expected.append(keras.ops.convert_to_numpy(given).argmax(axis=1))
    return Answers(*map(np.concatenate, (probabilities, labels, expected)))


def find(
    material: Material,
    validation: Answers,
    test: Answers,
    unknown: np.ndarray | None = None,
) -> Findings:
    """Everything about a file's answers.

    Args:
        material: The photos.
        validation: Its answers for the validation photos.
        test: Its answers for the test photos.
        unknown: Its confidences for photos of no class, if there are any.
    """
    names, answers = material.images.class_names, test.classes
    size = len(names)
    confusion = np.zeros((size, size), int)
    np.add.at(confusion, (test.labels, answers), 1)
    trained, validated = counts(material, "train"), counts(material, "validation")
    classes = tuple(
        OfClass(
            name=name,
            num_train=trained[number],
            num_validation=validated[number],
            num_test=int(confusion[number].sum()),
            recall=_share(confusion[number, number], confusion[number].sum()),
            precision=_share(confusion[number, number], confusion[:, number].sum()),
        )
        for number, name in enumerate(names)
    )
    right = answers == test.labels
    wrong = np.flatnonzero(~right)
    worst = wrong[np.argsort(-test.confidences[wrong], kind="stable")][:_MOST_MISTAKES]
    commonest = int(confusion.sum(axis=1).argmax())
    top1, low, high = _share(right.sum(), len(right)) or (0.0, 0.0, 1.0)
    return Findings(
        top1=top1,
        interval=(low, high),
        balanced=float(np.mean([one.recall[0] for one in classes if one.recall])),
        commonest=(names[commonest], float(confusion[commonest].sum() / len(right))),
        classes=classes,
        confusion=confusion,
        mistakes=tuple(map(int, worst)),
        changed=tuple(map(int, np.flatnonzero(answers != test.expected))),
        thresholds=tuple(
            find_threshold(aim, validation, test, unknown) for aim in PRECISIONS
        ),
    )


def _share(count, total) -> tuple[float, float, float] | None:
    """A share and its interval; None of nothing."""
    if not total:
        return None
    share = float(count / total)
    return (share, *wilson_interval(share, int(total)))


def find_threshold(
    aim: float, validation: Answers, test: Answers, unknown: np.ndarray | None
) -> Threshold:
    """The least confidence from which on a share of the answers is right.

    Photos of no class count as wrong answers: every second one on the side of the
    validation photos, the others on that of the test photos.
    """
    confidences = validation.confidences
    right = validation.classes == validation.labels
    others = None
    if unknown is not None:
        confidences = np.concatenate([confidences, unknown[::2]])
        right = np.concatenate([right, np.zeros(len(unknown[::2]), bool)])
        others = unknown[1::2]
    order = np.argsort(-confidences, kind="stable")
    sorted_confidences = confidences[order]
    precisions = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Equal confidences are kept or left together.
    is_last = np.append(sorted_confidences[1:] != sorted_confidences[:-1], True)
    enough = np.arange(1, len(order) + 1) >= min(_FEWEST_ANSWERS, len(order))
    reached = np.flatnonzero((precisions >= aim) & is_last & enough)
    if not len(reached):
        return Threshold(
            aim=aim, confidence=None, coverage=0.0, precision=None, unknown=None
        )
    least = float(sorted_confidences[reached[-1]])
    is_sure = test.confidences >= least
    kept_out = None
    if others is not None and len(others):
        kept_out = float((others < least).mean())
    is_right = (test.classes == test.labels)[is_sure]
    return Threshold(
        aim=aim,
        confidence=least,
        coverage=float(is_sure.mean()),
        precision=float(is_right.mean()) if len(is_right) else None,
        unknown=kept_out,
    )


def threshold_of(findings: Findings) -> float | None:
    """The least confidence for 95 % right answers, if it is reached."""
    return next(one.confidence for one in findings.thresholds if one.aim == _AIM)


def counts(material: Material, split: str) -> list[int]:
    """The number of photos of each class in a split, each photo once."""
    photos = getattr(material.photos, split)
    labels = [photo.label for photo in photos.photos]
    if not material.images.is_labelled or not labels:
        labels = [int(label) for _, label in photos.read(None)]
    return np.bincount(labels, minlength=material.classes).tolist()


def note_on_uneven(material: Material) -> str:
    """A warning of classes with few training photos; empty if there are none."""
    images = material.images
    if material.job.balance or not (images.is_labelled and images.train.photos):
        return ""
    photos = dict(zip(images.class_names, counts(material, "train")))
    most = max(photos, key=photos.__getitem__)
    few = [name for name in photos if photos[name] * _UNEVEN < photos[most]]
    if not few:
        return ""
    listed = ", ".join(f"{name!r} ({photos[name]})" for name in few[:3])
    listed += ", ..." if len(few) > 3 else ""
    return (
        f"Few training photos of {listed}, against {photos[most]} of {most!r}: "
        "add photos, or balance the classes (balance=True; --balance=true)."
    )


def as_json(findings: Findings) -> dict[str, Any]:
    """Findings as JSON, but for the positions of photos."""
    values = dataclasses.asdict(findings)
    values["confusion"] = findings.confusion.tolist()
    del values["mistakes"], values["changed"]
    return values
