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


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputComparison:
    """An output of a `.tflite` file, compared with a model's by `compare_tflite`.

    Attributes:
        name: Name of the output in the file.
        difference: Largest difference for an image, on average, as a share of the
            largest output.
        unexplained: Mean squared difference, as a share of the variance of the model's
            output: 1 minus R².
        agreement: Share of answers, one for an image or for a pixel, in which the same
            channel is the largest; None for one channel.
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
            parts.insert(0, f"{100 * self.agreement:.2f} % the same answers")
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
    """Sums over images, of which the measures of an output are made."""

    def __init__(self):
        self._images = self._values = self._answers = self._same = 0
        self._differences = self._squares = self._total = self._total_squares = 0.0
        self._largest = 0.0
        self._has_channels = False
        self._are_probabilities = True

    def add(self, found, expected):
        found, expected = found.astype(np.float64), expected.astype(np.float64)
        apart = np.abs(found - expected)
        self._images += len(found)
        self._differences += apart.reshape(len(found), -1).max(axis=1).sum()
        self._largest = max(self._largest, np.abs(expected).max())
        self._values += expected.size
        self._squares += np.square(apart).sum()
        self._total += expected.sum()
        self._total_squares += np.square(expected).sum()
        self._has_channels = expected.ndim > 1 and expected.shape[-1] > 1
        if self._has_channels:
            same = found.argmax(axis=-1) == expected.argmax(axis=-1)
            self._answers += same.size
            self._same += same.sum()
            sums_to_one = np.abs(expected.sum(axis=-1) - 1).max() < _TOLERANCE
            self._are_probabilities &= bool(expected.min() >= 0 and sums_to_one)

    def compared(self, name):
        variance = self._total_squares - self._total**2 / self._values
        return OutputComparison(
            name=name,
            difference=float(self._differences / self._images / (self._largest or 1)),
            unexplained=float(self._squares / (variance or 1)),
            agreement=float(self._same / self._answers) if self._has_channels else None,
            are_probabilities=self._has_channels and self._are_probabilities,
        )
