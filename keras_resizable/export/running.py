"""Opening and running `.tflite` files."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from keras_resizable.export.flatbuffer import read_metadata
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.messages import first_line

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


def open_tflite(path: str | os.PathLike, threads: int = 1) -> "Interpreter":
    """An interpreter of a `.tflite` file, ready to run.

    Args:
        path: Path of the file.
        threads: Number of threads.

    Returns:
        An `ai_edge_litert.interpreter.Interpreter`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If LiteRT cannot run it.
        ImportError: If the extra `tflite` is not installed.
    """
    litert = import_extra("ai_edge_litert.interpreter", "tflite")
    metadata = read_metadata(path) or {}
    try:
        interpreter = litert.Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = first_line(error).rstrip(".")
        if metadata.get("quantize") == "int8":
            reason += (
                ". An int8 file of features whose ranges are too far apart is such, as "
                "of a network that has hardly been trained: train it further, or "
                "choose another precision"
            )
        raise ValueError(f"LiteRT cannot run {path}: {reason}.") from error
    return interpreter


def run_tflite(
    path: str | os.PathLike, images: np.ndarray, signature: str | None = None
) -> np.ndarray:
    """Outputs of a `.tflite` file with one input and one output, image by image.

    Args:
        path: Path of the file.
        images: float32 `(images, height, width, channels)`. For an int8 file they are
            quantized.
        signature: Name of a signature; the first if absent.

    Returns:
        float32 `(images, ...)`.

    Raises:
        As `open_tflite`; `ValueError` if there is no such signature, it has several
        inputs or outputs, or takes images of another shape.
    """
    run = open_runner(path, signature)
    return run(np.asarray(images))


def open_runner(
    path: str | os.PathLike, signature: str | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """A callable from images to outputs, as `run_tflite` has them."""
    interpreter = open_tflite(path)
    names = list(interpreter.get_signature_list())
    if not names and signature is None:
        return _run_of_tensors(interpreter, path)
    signature = names[0] if signature is None else signature
    if signature not in names:
        raise ValueError(f"{path} has the signatures {names}. Received: {signature!r}")
    runner = interpreter.get_signature_runner(signature)
    inputs, results = runner.get_input_details(), runner.get_output_details()
    _check_single(inputs, results, path)
    ((name, into),), ((result, out),) = inputs.items(), results.items()

    def run(images):
        _check_images(images, into, path)
        outputs = [
            runner(**{name: _to_integers(image[np.newaxis], into)})[result]
            for image in images
        ]
        return _from_integers(np.concatenate(outputs), out)

    return run


def _run_of_tensors(interpreter, path):
    """That of a file of others, which has no signatures."""
    inputs, results = interpreter.get_input_details(), interpreter.get_output_details()
    _check_single(inputs, results, path)
    (into,), (out,) = inputs, results

    def run(images):
        _check_images(images, into, path)
        outputs = []
        for image in images:
            value = _to_integers(image[np.newaxis], into)
            interpreter.set_tensor(into["index"], value)
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(out["index"]))
        return _from_integers(np.concatenate(outputs), out)

    return run


def _check_single(inputs, outputs, path):
    """Refuses several inputs or outputs."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"What runs here has one input and one output. {path} has {len(inputs)} "
            f"and {len(outputs)}."
        )


def _check_images(images, details, path):
    """Refuses what LiteRT would resize the input of the file to."""
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
