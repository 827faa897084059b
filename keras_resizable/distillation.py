"""What the sub-networks of a training step learn from the largest, or from a teacher.

With `network.compile(distillation="in_place")` sub-networks that have a teacher learn
from labels by the loss of `compile`, and from the teacher's class probabilities by the
cross-entropy with them. Teachers get no gradient from it.
"""

import abc

import keras
import tensorflow as tf

from keras_resizable.utils.arguments import number
from keras_resizable.utils.classifier_outputs import Classifier


class _Distillation(abc.ABC):
    """What the kinds of distillation share.

    Args:
        weight: The teacher's part of the loss, from 0 to 1; the labels have the rest.
    """

    def __init__(self, weight: float = 0.5) -> None:
        self.weight = float(number("weight", weight, 0, 1))

    @abc.abstractmethod
    def has_teacher(self, number: tf.Tensor) -> tf.Tensor:
        """Whether there is a teacher for the sub-network in this place of the plan."""

    @abc.abstractmethod
    def first_teacher(self, images: tf.Tensor, classes: int) -> tf.Tensor:
        """The teacher before the first sub-network of the plan has run."""

    @abc.abstractmethod
    def next_teacher(
        self, teacher: tf.Tensor, number: tf.Tensor, probabilities: tf.Tensor
    ) -> tf.Tensor:
        """The teacher after a sub-network of the plan has run."""

    def get_config(self):
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_resizable")
class InPlaceDistillation(_Distillation):
    """The largest sub-network teaches all others.

    Yu & Huang, 2019, https://arxiv.org/abs/1903.05134, section 3.3, where `weight` is
    1. Plans need the largest: those of `SandwichSampler` have it, `FairSampler`'s not.

    Args:
        weight: The teacher's part of the loss, from 0 to 1; the labels have the rest.
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

    Such as the model that a network was made of by `from_keras`. It is not trained, and
    costs one forward pass for each image of a step. A network that is saved does not
    keep it.

    Args:
        teacher: A `keras.Model` for the same images and classes, probabilities or
            logits.
        weight: The teacher's part of the loss, from 0 to 1; the labels have the rest.

    Raises:
        ValueError: If `teacher` is no classifier, or `weight` is not valid.

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
                "A teacher is a keras.Model that is functional, or sequential and "
                "built, of images alone; of a resizable network a sub-network, as "
                f"network.sub_network('1.0') makes it. Received: teacher={teacher!r}"
            )
        self.teacher = teacher
        self._classifier = Classifier(teacher)
        _ = self._classifier.gives_probabilities  # Now, and not in a graph.

    def has_teacher(self, number: tf.Tensor) -> tf.Tensor:
        return tf.constant(True)

    def first_teacher(self, images: tf.Tensor, classes: int) -> tf.Tensor:
        return self._classifier.probabilities(self.teacher(images, training=False))

    def next_teacher(
        self, teacher: tf.Tensor, number: tf.Tensor, probabilities: tf.Tensor
    ) -> tf.Tensor:
        return teacher

    def get_config(self):
        raise NotImplementedError("A teacher is not saved with what it teaches.")


Distillation = InPlaceDistillation | TeacherDistillation


def get(distillation: Distillation | str | None) -> Distillation | None:
    """A kind of distillation, from its name or as it is."""
    if isinstance(distillation, str) and distillation == "in_place":
        return InPlaceDistillation()
    if distillation is not None and not isinstance(distillation, _Distillation):
        raise ValueError(
            "`distillation` is None, 'in_place', or an object such as "
            "InPlaceDistillation(0.3) or TeacherDistillation(model). "
            f"Received: distillation={distillation!r}"
        )
    return distillation
