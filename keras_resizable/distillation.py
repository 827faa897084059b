"""Distillation: sub-networks learn from the largest one, or from a teacher.

The loss of a sub-network with a teacher mixes the loss of `compile`, on the labels,
with the cross-entropy with the teacher's class probabilities. No gradient reaches the
teacher.
"""

import abc

import keras
import tensorflow as tf

from keras_resizable.utils.arguments import number
from keras_resizable.utils.classifier_outputs import Classifier


class _Distillation(abc.ABC):
    """The base class of distillations.

    Args:
        weight: The teacher's share of the loss, from 0 to 1; the labels get the rest.
    """

    def __init__(self, weight: float = 0.5) -> None:
        self.weight = float(number("weight", weight, 0, 1))

    @abc.abstractmethod
    def has_teacher(self, number: tf.Tensor) -> tf.Tensor:
        """Whether the sub-network at this place of the plan has a teacher."""

    @abc.abstractmethod
    def first_teacher(self, images: tf.Tensor, classes: int) -> tf.Tensor:
        """The teacher's probabilities before the first sub-network of the plan runs."""

    @abc.abstractmethod
    def next_teacher(
        self, teacher: tf.Tensor, number: tf.Tensor, probabilities: tf.Tensor
    ) -> tf.Tensor:
        """The teacher's probabilities after a sub-network of the plan has run."""

    def get_config(self):
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_resizable")
class InPlaceDistillation(_Distillation):
    """The largest sub-network teaches all others.

    Yu & Huang, 2019, https://arxiv.org/abs/1903.05134, section 3.3, where `weight` is
    1. Every plan must contain the largest sub-network, as with `SandwichSampler` but
    not with `FairSampler`.

    Args:
        weight: The teacher's share of the loss, from 0 to 1; the labels get the rest.
    """

    def has_teacher(self, number: tf.Tensor) -> tf.Tensor:
        return number > 0

    def first_teacher(self, images: tf.Tensor, classes: int) -> tf.Tensor:
        return tf.zeros((tf.shape(images)[0], classes))

    def next_teacher(
        self, teacher: tf.Tensor, number: tf.Tensor, probabilities: tf.Tensor
    ) -> tf.Tensor:
        return tf.where(number == 0, probabilities, teacher)


class TeacherDistillation(_Distillation):
    """Another model teaches every sub-network.

    For example the model that `from_keras` converted. The teacher is not trained; it
    adds one forward pass per image to a step. It is not saved with the network. If
    `compile` has no loss, the teacher's answers replace the labels, and training needs
    only images.

    Args:
        teacher: A `keras.Model` for the same images and classes, with probabilities or
            logits as outputs.
        weight: The teacher's share of the loss, from 0 to 1; the labels get the rest.

    Raises:
        ValueError: If `teacher` is not a classifier, or `weight` is not valid.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> model = keras.applications.MobileNetV3Small(
    ...     (96, 96, 3), weights=None, classes=10
    ... )
    >>> network = keras_resizable.from_keras(model, scales=(1.0, 0.75, 0.5))
    >>> network.compile(
    ...     "sgd",
    ...     "categorical_crossentropy",
    ...     distillation=keras_resizable.TeacherDistillation(model),
    ... )
    """

    def __init__(self, teacher: keras.Model, weight: float = 0.5) -> None:
        super().__init__(weight)
        if not getattr(teacher, "inputs", None) or len(teacher.inputs) != 1:
            raise ValueError(
                "A teacher must be a keras.Model, functional or sequential and "
                "built, that takes only images. From a resizable network, pass "
                f"`network.sub_network('1.0')`. Received: teacher={teacher!r}"
            )
        self.teacher = teacher
        self._classifier = Classifier(teacher)
        _ = self._classifier.gives_probabilities  # Before it is needed in a graph.

    def has_teacher(self, number: tf.Tensor) -> tf.Tensor:
        return tf.constant(True)

    def first_teacher(self, images: tf.Tensor, classes: int) -> tf.Tensor:
        return self.answers(images)

    def answers(self, images: tf.Tensor) -> tf.Tensor:
        """The teacher's class probabilities, float32 `(batch, classes)`."""
        return self._classifier.probabilities(self.teacher(images, training=False))

    def next_teacher(
        self, teacher: tf.Tensor, number: tf.Tensor, probabilities: tf.Tensor
    ) -> tf.Tensor:
        return teacher

    def get_config(self):
        raise NotImplementedError("A teacher is not saved with the network.")


Distillation = InPlaceDistillation | TeacherDistillation


def get(distillation: Distillation | str | None) -> Distillation | None:
    """A distillation, from its name or as given."""
    if isinstance(distillation, str) and distillation == "in_place":
        return InPlaceDistillation()
    if distillation is not None and not isinstance(distillation, _Distillation):
        raise ValueError(
            "`distillation` must be None, 'in_place', or an object such as "
            "InPlaceDistillation(0.3) or TeacherDistillation(model). "
            f"Received: distillation={distillation!r}"
        )
    return distillation
