"""What the outputs of a classifier are: probabilities or logits."""

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.utils.graph import require_graph

_NOISE = 16  # Inputs that tell what outputs look like.
_SIZES = (4, 32, 224)  # Of their maps, where a model takes any, until one is enough.
_TOLERANCE = 1e-2  # Of a sum of probabilities, in float16 too.
_OF_EACH_OUTPUT = (
    keras.losses.BinaryCrossentropy,
    keras.losses.BinaryFocalCrossentropy,
)
_FUNCTIONS_OF_EACH_OUTPUT = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
)


class Classifier:
    """How the outputs of a classifier are read.

    Outputs are `(batch, classes)`, or `(batch, 1)` of two classes: then the answer is
    the second above 0.5, as in Keras's `BinaryAccuracy`.

    Args:
        model: A `keras.Model` with one output, such as the head of a network.
        loss: A loss that says whether the outputs are probabilities or logits; the one
            that the model was compiled with if absent. If that does not say so, outputs
            are looked at.

    Raises:
        ValueError: If the model has other outputs.
    """

    def __init__(self, model: keras.Model, loss: Any = None) -> None:
        require_graph(model)
        shapes = [tuple(output.shape) for output in model.outputs]
        if [len(shape) for shape in shapes] != [2]:
            raise ValueError(
                "A classifier has one output of (batch, classes). The outputs of "
                f"{model.name!r} are {shapes}."
            )
        self.num_outputs = shapes[0][-1]
        self.is_binary = self.num_outputs == 1
        self._model = model
        if loss is None and model.compiled:
            loss = model.loss
        self._loss = loss
        self._known: bool | None = None

    @property
    def gives_probabilities(self) -> bool:
        """Whether outputs are probabilities, and not logits.

        Raises:
            ValueError: If neither the loss nor the outputs tell.
        """
        if self._known is None:
            self._known = _said_by(self._loss)
        if self._known is not None:
            return self._known
        with tf.init_scope():
            outputs = _outputs_of_noise(self._model)
        outputs = outputs[np.isfinite(outputs).all(axis=-1)]
        if not len(outputs):
            return True  # NaN is NaN either way, as long as it is.
        self._known = _seen_in(outputs, self.is_binary)
        if self._known is None:
            raise ValueError(
                "Whether the outputs are probabilities or logits cannot be told from "
                f"those of {self._model.name!r}. Compile the network with a loss that "
                "says so, such as keras.losses.CategoricalCrossentropy(from_logits="
                "True)."
            )
        return self._known

    def probabilities(self, outputs: tf.Tensor) -> tf.Tensor:
        """Probabilities `(batch, classes)` float32; of two classes if it is binary."""
        outputs = tf.cast(only_output(outputs), tf.float32)
        if self.is_binary:
            if not self.gives_probabilities:
                outputs = tf.sigmoid(outputs)
            return tf.concat([1 - outputs, outputs], axis=-1)
        return outputs if self.gives_probabilities else tf.nn.softmax(outputs)

    def is_right(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Boolean `(batch,)`, whether the label is the answer; never of NaN.

        Args:
            outputs: `(batch, classes)` or `(batch, 1)`.
            labels: Integers `(batch,)`.
        """
        outputs = only_output(outputs)
        if self.is_binary:
            answers = tf.cast(self.probabilities(outputs)[:, 1] > 0.5, tf.int32)
        else:
            answers = tf.argmax(outputs, axis=-1, output_type=tf.int32)
        finite = tf.reduce_all(tf.math.is_finite(tf.cast(outputs, tf.float32)), -1)
        return tf.equal(answers, tf.cast(labels, tf.int32)) & finite


def only_output(outputs: Any) -> Any:
    """The one output of a model, which may be in a list or a dictionary."""
    (output,) = keras.tree.flatten(outputs)
    return output


def integer_labels(labels: tf.Tensor) -> tf.Tensor:
    """Labels `(batch,)`, of `(batch,)`, `(batch, 1)` or one-hot ones."""
    if labels.shape.rank == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else tf.argmax(labels, -1)
    return tf.cast(labels, tf.int32)


def check_labels(labels: np.ndarray | tf.Tensor, num_outputs: int) -> None:
    """Refuses labels of no class.

    Args:
        labels: As `integer_labels` takes them.
        num_outputs: Number of outputs, which is that of the classes, or 1 for two.

    Raises:
        ValueError: If there are some, or several for an image.
    """
    labels, num_classes = np.asarray(labels), max(num_outputs, 2)
    if labels.ndim == 2 and labels.shape[1] > 1:
        sums = labels.sum(axis=-1, dtype=np.float64)
        wrong = sums[abs(sums - 1) > _TOLERANCE]
        if len(wrong):
            raise ValueError(
                "Labels are numbers of classes or one-hot rows, and an image has one. "
                f"`dataset` has a row with a sum of {wrong[0]:g}."
            )
        if labels.shape[1] != num_classes:
            raise ValueError(
                f"One-hot rows are of {num_classes} classes. `dataset` has rows of "
                f"{labels.shape[1]}."
            )
    numbers = integer_labels(tf.convert_to_tensor(labels)).numpy()
    last = num_classes - 1
    wrong = numbers[(numbers < 0) | (numbers > last)]
    if len(wrong):
        raise ValueError(f"Labels are from 0 to {last}. `dataset` has {wrong[0]}.")


def is_multi_label(loss: Any) -> bool:
    """Whether a loss, as `compile` takes it, has each output answer for itself."""
    loss = _loss_of(loss)
    return isinstance(loss, _OF_EACH_OUTPUT) or loss in _FUNCTIONS_OF_EACH_OUTPUT


def _loss_of(loss):
    """The loss of the only output, as an object or a function."""
    if isinstance(loss, (list, tuple, dict)):
        losses = keras.tree.flatten(loss)
        loss = losses[0] if len(losses) == 1 else None
    return keras.losses.get(loss) if isinstance(loss, str) else loss


def _said_by(loss):
    """Whether a loss takes probabilities; None if it does not say."""
    loss = _loss_of(loss)
    if isinstance(loss, keras.losses.Loss):
        try:
            from_logits = loss.get_config().get("from_logits")
        except NotImplementedError:
            return None
    elif callable(loss):
        parameter = inspect.signature(loss).parameters.get("from_logits")
        from_logits = None if parameter is None else parameter.default
    else:
        return None
    return None if not isinstance(from_logits, bool) else not from_logits


def _outputs_of_noise(model):
    (inputs,) = model.inputs
    sizes = _SIZES if None in inputs.shape[1:] else _SIZES[:1]
    for size in sizes:
        shape = [_NOISE, *(given or size for given in inputs.shape[1:])]
        noise = np.random.default_rng(0).normal(0, 3, shape)
        try:
            outputs = model(tf.cast(noise, inputs.dtype), training=False)
        except (ValueError, tf.errors.OpError):
            if size == sizes[-1]:
                raise
            continue
        outputs = tf.cast(only_output(outputs), tf.float32).numpy()
        if np.isfinite(outputs).any():
            break
    return outputs


def _seen_in(outputs, is_binary):
    """Whether outputs are probabilities; None if they may be or not."""
    if outputs.min() < 0 or outputs.max() > 1 + _TOLERANCE:
        return False
    if is_binary:  # Without weights yet, logits are all 0.
        return True if np.ptp(outputs) > 0 else None
    if (abs(outputs.sum(axis=-1) - 1) < _TOLERANCE).all():
        return True
    return None
