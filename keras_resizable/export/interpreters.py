"""Opening and running `.tflite` files."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resizable.export.flatbuffer import read_metadata
from keras_resizable.utils.arguments import one_of
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import reading

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


def open_tflite(path: str | os.PathLike, threads: int = 1) -> "Interpreter":
    """An interpreter of a `.tflite` file, ready to run.

    Raises `FileNotFoundError`, or `DamagedFileError` if LiteRT cannot run it.
    """
    litert = import_extra("ai_edge_litert.interpreter", "tflite")
    advice = ""
    if (read_metadata(path) or {}).get("quantize") == "int8":
        advice = (
            "Ranges of int8 features may be too far apart, as in a network that has "
            "hardly been trained: train it further, or choose another precision."
        )
    with reading(path, advice):
        interpreter = litert.Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


def run_tflite(
    path: str | os.PathLike, images: np.ndarray, signature: str | None = None
) -> np.ndarray:
    """Outputs of a `.tflite` file with one input and one output, image by image.

    Args:
        path: Path of the file.
        images: float32 `(images, height, width, channels)`, quantized here for a file
            that takes integers.
        signature: Name of a signature; by default the first.

    Returns:
        float32 `(images, ...)`.

    Raises:
        ValueError: If LiteRT cannot run the file, it lacks the signature, has several
            inputs or outputs, or takes images of another shape.
    """
    return Runner(path, signature).only_output(np.asarray(images))


class Runner:
    """Runs a `.tflite` file of one input, image by image.

    Raises a `ValueError` as `run_tflite` does.

    Args:
        path: Path of the file.
        signature: Name of a signature; by default the first.

    Attributes:
        names: Names of the outputs, in order.
    """

    def __init__(self, path: str | os.PathLike, signature: str | None = None) -> None:
        self._path, self._interpreter = path, open_tflite(path)
        names = list(self._interpreter.get_signature_list())
        signature = names[0] if names and signature is None else signature
        self._signature = None  # A third-party file may have none.
        if signature is not None:
            one_of("signature", signature, names)
            self._signature = self._interpreter.get_signature_runner(signature)
        owner: Any = self._signature or self._interpreter
        inputs, outputs = owner.get_input_details(), owner.get_output_details()
        if len(inputs) != 1:
            raise ValueError(
                f"A file to run must have one input. {path} has {len(inputs)}."
            )
        if self._signature is None:
            inputs = {details["name"]: details for details in inputs}
            outputs = {f"output_{n}": details for n, details in enumerate(outputs)}
        ((self._name, self._input),) = inputs.items()
        self._outputs = dict(sorted(outputs.items(), key=_place))
        self.names = list(self._outputs)

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """The float32 outputs for float32 images."""
        rows = [self._run(image[np.newaxis]) for image in self.encoded(images)]
        return [
            self.decoded(np.concatenate(one), n) for n, one in enumerate(zip(*rows))
        ]

    def only_output(self, images: np.ndarray) -> np.ndarray:
        """The outputs of a file that has one."""
        if len(self.names) != 1:
            raise ValueError(
                f"A file to run must have one output. {self._path} has "
                f"{len(self.names)}."
            )
        return self(images)[0]

    def encoded(self, images: np.ndarray) -> np.ndarray:
        """float32 images in the type of the file's input."""
        self._check(images)
        scale, zero = self._input["quantization"]
        if not scale:
            return images.astype(self._input["dtype"])
        limits = np.iinfo(self._input["dtype"])
        rounded = np.rint(images / scale) + zero
        return rounded.clip(limits.min, limits.max).astype(self._input["dtype"])

    def decoded(self, values: np.ndarray, number: int = 0) -> np.ndarray:
        """Values of an output, by its number, as float32."""
        scale, zero = self.quantization_of_output(number)
        return (values.astype(np.float32) - zero) * scale if scale else values

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the input."""
        _, height, width, channels = map(int, self._input["shape"])
        return height, width, channels

    def quantization_of_output(self, number: int = 0) -> tuple[float, int]:
        """The scale and the zero point of an output; 0 and 0 if it is not quantized."""
        scale, zero = self._outputs[self.names[number]]["quantization"]
        return float(scale), int(zero)

    def _run(self, value):
        if self._signature is not None:
            outputs = self._signature(**{self._name: value})
            return [outputs[name] for name in self.names]
        self._interpreter.set_tensor(self._input["index"], value)
        self._interpreter.invoke()
        indices = [self._outputs[name]["index"] for name in self.names]
        return [self._interpreter.get_tensor(index) for index in indices]

    def _check(self, images):
        """Raises if LiteRT would resize the input of the file to these images."""
        shape, given = self._input["shape_signature"][1:], images.shape[1:]
        sizes_fit = all(size in (-1, own) for size, own in zip(shape, given))
        if not (len(images) and len(shape) == len(given) and sizes_fit):
            sizes = ", ".join("any" if size == -1 else str(size) for size in shape)
            raise ValueError(
                f"{self._path} takes images of ({sizes}), in a batch of one or more. "
                f"Received: {images.shape}"
            )


def _place(item):
    """Sorts `output_10` behind `output_2`; other names as texts."""
    name = item[0].rstrip("0123456789")
    return name, int(item[0][len(name) :] or 0)
