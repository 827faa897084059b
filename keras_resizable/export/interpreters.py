"""Opening and running `.tflite` files."""

import os
from collections.abc import Callable
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
        images: float32 `(images, height, width, channels)`, quantized here for an int8
            file.
        signature: Name of a signature; by default the first.

    Returns:
        float32 `(images, ...)`.

    Raises:
        ValueError: If LiteRT cannot run the file, it lacks the signature, has several
            inputs or outputs, or takes images of another shape.
    """
    return open_runner(path, signature)(np.asarray(images))


def open_runner(
    path: str | os.PathLike, signature: str | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """A callable from images to outputs, as in `run_tflite`."""
    interpreter = open_tflite(path)
    names = list(interpreter.get_signature_list())
    signature = names[0] if names and signature is None else signature
    owner: Any = interpreter  # A third-party file may have no signatures.
    if signature is not None:
        owner = interpreter.get_signature_runner(one_of("signature", signature, names))
    inputs, outputs = owner.get_input_details(), owner.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"A file to run must have one input and one output. {path} has "
            f"{len(inputs)} and {len(outputs)}."
        )
    if signature is None:
        (into,), (out,) = inputs, outputs
    else:
        ((name, into),), (out,) = inputs.items(), outputs.values()

    def run_one(value):
        if signature is not None:
            (output,) = owner(**{name: value}).values()
            return output
        interpreter.set_tensor(into["index"], value)
        interpreter.invoke()
        return interpreter.get_tensor(out["index"])

    def run(images):
        _check_images(images, into, path)
        values = (_to_integers(image[np.newaxis], into) for image in images)
        return _from_integers(np.concatenate(list(map(run_one, values))), out)

    return run


def _check_images(images, details, path):
    """Raises if LiteRT would resize the input of the file to these images."""
    shape, given = details["shape_signature"][1:], images.shape[1:]
    sizes_fit = all(size in (-1, own) for size, own in zip(shape, given))
    if not (len(images) and len(shape) == len(given) and sizes_fit):
        sizes = ", ".join("any" if size == -1 else str(size) for size in shape)
        raise ValueError(
            f"{path} takes images of ({sizes}), in a batch of one or more. Received: "
            f"{images.shape}"
        )


def _to_integers(values, details):
    scale, zero = details["quantization"]
    if not scale:
        return values.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    rounded = np.rint(values / scale) + zero
    return np.clip(rounded, limits.min, limits.max).astype(details["dtype"])


def _from_integers(numbers, details):
    scale, zero = details["quantization"]
    return (numbers.astype(np.float32) - zero) * scale if scale else numbers
