"""The outputs of `.tflite` files next to those of the models they were made of."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.export.interpreters import Runner
from keras_resizable.utils.batches import Batches, image_batches, watched

_TOLERANCE = 1e-2  # For a sum of probabilities, even in float16.
_ROUNDING = 1e-9  # The share of a constant's squares that may look like variance.


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputComparison:
    """An output of a `.tflite` file, compared with a model's by `compare_tflite`.

    Attributes:
        name: Name of the output in the file.
        difference: Largest difference for an image, on average, as a share of the
            largest output.
        unexplained: Mean squared difference, as a share of the variance of the model's
            output, 1 minus R², of the channel where it is largest.
        agreement: Share of answers, one for an image or for a pixel, in which the same
            channel is the largest; None if it is always the same one.
        are_probabilities: Whether the model's channels are positive and sum to 1.
    """

    name: str
    difference: float
    unexplained: float
    agreement: float | None
    are_probabilities: bool

    @property
    def loss(self) -> float:
        """What the file loses, from 0 to 1: of the answers, if it gives probabilities.

        Other channels may be logits, of which only the order counts, or quantities: the
        share of other answers or of unexplained variance, whichever is less.
        """
        if self.agreement is None:
            return self.unexplained
        others = 1 - self.agreement
        return others if self.are_probabilities else min(others, self.unexplained)

    def __str__(self) -> str:
        parts = [f"{100 * self.unexplained:.2g} % of the variance unexplained"]
        if self.agreement is not None:
            parts.insert(0, f"the same answer in {100 * self.agreement:.2f} % of cases")
        parts.append(f"off by {self.difference:.2g} of the largest")
        return f"{self.name!r}: {', '.join(parts)}"


def compare_tflite(
    path: str | os.PathLike,
    model: Callable[[tf.Tensor], Any],
    images: Batches,
    *,
    signature: str | None = None,
) -> list[OutputComparison]:
    """Compares all outputs of a `.tflite` file with those of a model.

    Args:
        path: Path of a file with one input, from any tool.
        model: A `keras.Model`, or another callable from images to outputs.
        images: `tf.data.Dataset` of batches of images, alone or followed by targets; or
            images as one array. They are float32 even for a file that takes integers.
        signature: Name of a signature; by default the first.

    Returns:
        An `OutputComparison` for each output. Outputs are matched by their names if the
        model has names for them as well, otherwise in order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or has no such signature, its outputs have other
            shapes than the model's, or `images` is not valid.

    Example:

    >>> import pathlib, tempfile
    >>> import keras
    >>> import numpy as np
    >>> from keras_resizable import export
    >>> images = keras.Input((32, 32, 3))
    >>> mask = keras.layers.Conv2D(2, 3, padding="same", activation="softmax")(images)
    >>> model = keras.Model(images, mask)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mask.tflite"
    >>> _ = export.to_tflite(model, path)
    >>> photos = np.random.random((4, 32, 32, 3)).astype("float32")
    >>> [output] = export.compare_tflite(path, model, photos)
    >>> output.agreement
    1.0
    """
    runner, run = Runner(path, signature), at_inference(model)
    sums: dict[str, _Sums] = {}
    for batch in watched(image_batches(images, name="images"), "images"):
        expected = named_outputs(run(batch))
        found = _matched(runner, batch.numpy(), expected, path)
        for name, output in expected.items():
            values = np.asarray(tf.cast(output, tf.float32))
            if values.shape != found[name].shape:
                raise ValueError(
                    f"Output {name!r} of {path} has the shape {found[name].shape}, and "
                    f"{values.shape} in the model."
                )
            sums.setdefault(name, _Sums()).add(found[name], values)
    return [of_output.compared(name) for name, of_output in sums.items()]


def at_inference(model: Callable[..., Any]) -> Callable[[tf.Tensor], Any]:
    """The outputs that a model or another callable has at inference.

    Left to themselves, some third-party layers run as in training.
    """
    if isinstance(model, keras.Model):
        return functools.partial(model, training=False)
    return model


def named_outputs(outputs: Any) -> dict[str, tf.Tensor]:
    """A model's outputs by the names that they have in files.

    Those of a dictionary keep their names; others are numbered, in Keras's order.
    """
    is_flat = isinstance(outputs, Mapping) and not any(
        map(keras.tree.is_nested, outputs.values())
    )
    if is_flat:
        return {str(name): output for name, output in outputs.items()}
    flat = keras.tree.flatten(outputs)
    return {f"output_{number}": output for number, output in enumerate(flat)}


def _matched(runner, images, expected, path):
    """The outputs of a file by the model's names for them."""
    if len(runner.names) != len(expected):
        raise ValueError(
            f"{path} has {len(runner.names)} outputs, and the model {len(expected)}."
        )
    names = runner.names if set(runner.names) == expected.keys() else expected
    return dict(zip(names, runner(images), strict=True))


class _Sums:
    """Sums over images, channel by channel, of which the measures are made."""

    def __init__(self):
        self._images = self._pixels = self._same = 0
        self._differences = self._largest = 0.0
        self._squares = self._total = self._total_squares = np.zeros(1)
        self._answers: set[int] = set()
        self._are_probabilities = True

    def add(self, found, expected):
        apart = np.abs(found - expected)
        self._images += len(found)
        self._differences += float(apart.reshape(len(found), -1).max(axis=1).sum())
        self._largest = max(self._largest, float(np.abs(expected).max()))
        channels = expected.shape[-1] if expected.ndim > 1 else 1
        self._pixels += expected.size // channels
        self._squares = self._squares + _sum_of_squares(apart, channels)
        self._total_squares = self._total_squares + _sum_of_squares(expected, channels)
        rows = expected.reshape(-1, channels)
        self._total = self._total + rows.sum(axis=0, dtype=np.float64)
        answers = rows.argmax(axis=-1)
        self._same += int(
            (found.reshape(-1, channels).argmax(axis=-1) == answers).sum()
        )
        self._answers |= set(answers.tolist())
        sums_to_one = channels > 1 and np.abs(rows.sum(axis=-1) - 1).max() < _TOLERANCE
        self._are_probabilities &= bool(rows.min() >= 0 and sums_to_one)

    def compared(self, name):
        variance = self._total_squares - self._total**2 / self._pixels
        is_constant = variance <= _ROUNDING * self._total_squares
        whole = np.where(is_constant, self._total_squares, variance)
        shares = self._squares / np.where(whole > 0, whole, 1)
        # Quantities of which the same is always the largest are no classes.
        are_classes = self._are_probabilities or len(self._answers) > 1
        return OutputComparison(
            name=name,
            difference=self._differences / self._images / (self._largest or 1),
            unexplained=float(shares.max()),
            agreement=self._same / self._pixels if are_classes else None,
            are_probabilities=self._are_probabilities,
        )


def _sum_of_squares(values, channels):
    return np.square(values.reshape(-1, channels), dtype=np.float64).sum(axis=0)
