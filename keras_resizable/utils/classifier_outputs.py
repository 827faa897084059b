"""Reading the outputs of classifiers, probabilities or logits."""

import contextlib
import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.utils.keras_graph import require_graph

_NOISE = 16  # Number of random inputs whose outputs are examined.
_SIZES = (4, 32, 224)  # Sizes to try if a model takes any.
_TOLERANCE = 1e-2  # For a sum of probabilities, even in float16.


class Classifier:
    """Reads outputs `(batch, classes)`, or `(batch, 1)` for two classes.

    The loss, by default the one of `compile`, determines whether these are
    probabilities or logits; otherwise the outputs for random inputs do.
    """

    def __init__(self, model: keras.Model, loss: Any = None) -> None:
        require_graph(model)
        shapes = [tuple(output.shape) for output in model.outputs]
        if [len(shape) for shape in shapes] != [2]:
            raise ValueError(
                "A classifier must have one output of (batch, classes). The outputs of "
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
        """Whether outputs are probabilities rather than logits."""
        if self._known is None:
            self._known = _takes_probabilities(self._loss)
        if self._known is None:
            with tf.init_scope():
                outputs = _outputs_of_noise(self._model)
            outputs = outputs[np.isfinite(outputs).all(axis=-1)]
            if not len(outputs):
                return True  # Without finite outputs the answer makes no difference.
            self._known = _are_probabilities(outputs, self.is_binary)
        if self._known is None:
            raise ValueError(
                "It is not clear whether outputs are probabilities or logits from the "
                f"outputs of {self._model.name!r}. Compile it with a loss that tells, "
                "such as keras.losses.CategoricalCrossentropy(from_logits=True)."
            )
        return self._known

    def probabilities(self, outputs: tf.Tensor) -> tf.Tensor:
        """Probabilities, float32 `(batch, classes)`, even for binary classifiers."""
        outputs = tf.cast(only_output(outputs), tf.float32)
        if not self.gives_probabilities:
            outputs = (tf.sigmoid if self.is_binary else tf.nn.softmax)(outputs)
        return tf.concat([1 - outputs, outputs], -1) if self.is_binary else outputs

    def is_right(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Whether answers equal integer labels, boolean `(batch,)`; False for NaN."""
        outputs = only_output(outputs)
        if self.is_binary:
            answers = tf.cast(self.probabilities(outputs)[:, 1] > 0.5, tf.int32)
        else:
            answers = tf.argmax(outputs, axis=-1, output_type=tf.int32)
        finite = tf.reduce_all(tf.math.is_finite(tf.cast(outputs, tf.float32)), -1)
        return tf.equal(answers, tf.cast(labels, tf.int32)) & finite


def num_classes(model: keras.Model) -> int | None:
    """The number of classes of a model with one output `(batch, classes)`, or None.

    A model of one output, for two classes, has None, too.
    """
    shapes = [tuple(output.shape) for output in model.outputs]
    if [len(shape) for shape in shapes] != [2] or shapes[0][1] == 1:
        return None
    return shapes[0][1]


def only_output(outputs: Any) -> Any:
    """The only output of a model, which may be in a list or a dictionary."""
    (output,) = keras.tree.flatten(outputs)
    return output


def integer_labels(labels: tf.Tensor) -> tf.Tensor:
    """Labels, int32 `(batch,)`, from `(batch,)`, `(batch, 1)` or one-hot labels."""
    if labels.shape.rank == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else tf.argmax(labels, -1)
    return tf.cast(labels, tf.int32)


def check_labels(
    labels: np.ndarray | tf.Tensor, num_outputs: int, name: str = "dataset"
) -> None:
    """Raises for labels that are not a class, and for images with several labels."""
    labels, num_classes = np.asarray(labels), max(num_outputs, 2)
    if labels.ndim == 2 and labels.shape[1] > 1:
        sums = labels.sum(axis=-1, dtype=np.float64)
        wrong = (abs(sums - 1) > _TOLERANCE) | (labels.shape[1] != num_classes)
    else:
        labels = labels.reshape(len(labels))
        wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        raise ValueError(
            f"Labels must be classes from 0 to {num_classes - 1}, or one-hot rows of "
            f"{num_classes}. `{name}` has {labels[wrong][0]}."
        )


def require_one_class(loss: Any) -> None:
    """Raises for a loss that allows several classes per image, for teachers."""
    losses, given = keras.losses, _loss_of(loss)
    if isinstance(
        given, (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)
    ) or given in (losses.binary_crossentropy, losses.binary_focal_crossentropy):
        raise ValueError(
            "A teacher's probabilities sum to 1, for one class per image; "
            f"this loss allows several. Received: loss={loss!r}"
        )


def has_classification_loss(model: keras.Model) -> bool:
    """Whether a model is compiled with a loss of probabilities or logits."""
    return model.compiled and _takes_probabilities(model.loss) is not None


def has_regression_loss(model: keras.Model) -> bool:
    """Whether a model is compiled with a loss for quantities rather than classes."""
    losses, given = keras.losses, _loss_of(model.loss) if model.compiled else None
    return isinstance(
        given,
        (
            losses.Huber,
            losses.LogCosh,
            losses.MeanAbsoluteError,
            losses.MeanAbsolutePercentageError,
            losses.MeanSquaredError,
            losses.MeanSquaredLogarithmicError,
        ),
    ) or given in (
        losses.huber,
        losses.log_cosh,
        losses.mean_absolute_error,
        losses.mean_absolute_percentage_error,
        losses.mean_squared_error,
        losses.mean_squared_logarithmic_error,
    )


def _loss_of(loss):
    """The loss of the only output, as an object or a function."""
    if isinstance(loss, (list, tuple, dict)):
        losses = keras.tree.flatten(loss)
        loss = losses[0] if len(losses) == 1 else None
    return keras.losses.get(loss) if isinstance(loss, str) else loss


def _takes_probabilities(loss):
    """Whether a loss takes probabilities; None if it does not declare it."""
    loss, from_logits = _loss_of(loss), None
    if isinstance(loss, keras.losses.Loss):
        with contextlib.suppress(NotImplementedError):
            from_logits = loss.get_config().get("from_logits")
    elif callable(loss):
        parameter = inspect.signature(loss).parameters.get("from_logits")
        from_logits = None if parameter is None else parameter.default
    return not from_logits if isinstance(from_logits, bool) else None


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


def _are_probabilities(outputs, is_binary):
    """Whether outputs are probabilities; None if that is not certain."""
    if outputs.min() < 0 or outputs.max() > 1 + _TOLERANCE:
        return False
    if is_binary:  # Logits of a model without trained weights are all 0.
        is_certain = np.ptp(outputs) > 0
    else:
        is_certain = (abs(outputs.sum(axis=-1) - 1) < _TOLERANCE).all()
    return True if is_certain else None
