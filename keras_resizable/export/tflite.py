import pathlib

import numpy as np
import tensorflow as tf

from keras_resizable.extras import import_extra
from keras_resizable.files import replacing

# How far the outputs may be from Keras's, as a share of the largest.
_TOLERANCE = {"none": 1e-4, "float16": 1e-2}


def to_tflite(model, path, quantize="none"):
    """Converts a model to TFLite, and checks that it gives the same outputs.

    The file has a batch size of 1, static shapes and builtin operators only.

    Args:
        model: A `keras.Model` of stock layers with a fixed input shape and one
            output, such as a sub-network.
        path: Path of a `.tflite` file. One that is there is replaced.
        quantize: `"none"` for float32, `"float16"` for weights in float16,
            which halves the file.

    Raises:
        ValueError: If an argument is not valid, or the outputs do not agree.
        ImportError: If the extra `tflite` is not installed.
        OSError: If the folder cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        raise ValueError(
            f"A converted model is a `.tflite` file. Received: path={str(path)!r}"
        )
    if quantize not in _TOLERANCE:
        raise ValueError(
            f"`quantize` must be one of {tuple(_TOLERANCE)}. "
            f"Received: quantize={quantize!r}"
        )
    import_extra("ai_edge_litert", "tflite")  # For the check, before the work.
    with replacing(path) as temporary:
        convert(model, temporary, quantize)
        _check(model, temporary, _TOLERANCE[quantize])


def convert(model, path, quantize="none"):
    """Converts a model without a check; see `to_tflite`."""
    target = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    options = {"target_spec": target}
    if quantize == "float16":
        target["supported_types"] = [tf.float16]
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    shape = (1, *model.input_shape[1:])
    model.export(
        str(path),
        format="litert",
        input_signature=[tf.TensorSpec(shape, model.input.dtype)],
        verbose=False,
        **options,
    )


def _check(model, path, tolerance):
    shape = (1, *model.input_shape[1:])
    images = np.random.default_rng(0).random(shape, np.float32)
    expected = model.predict(images, verbose=0)
    outputs = run_tflite(path, images)
    difference = np.abs(outputs - expected).max()
    if not difference <= tolerance * np.abs(expected).max():
        raise ValueError(
            f"The converted model is off by {difference:.2g} from outputs of "
            f"up to {np.abs(expected).max():.2g}."
        )


def open_tflite(path, threads=1):
    """An interpreter of a `.tflite` file, ready to run.

    Args:
        path: Path of the file.
        threads: Number of threads.

    Returns:
        An `ai_edge_litert.interpreter.Interpreter`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else.
        ImportError: If the extra `tflite` is not installed.
    """
    litert = import_extra("ai_edge_litert.interpreter", "tflite")
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"No model at {path}. Make one: python tflite/convert.py"
        )
    try:
        interpreter = litert.Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or not a `.tflite` file: {error}"
        ) from error
    return interpreter


def run_tflite(path, images):
    """Outputs of a `.tflite` file with one input and one output.

    Args:
        path: Path of the file.
        images: Array of the shape and dtype of its input.

    Returns:
        An array.

    Raises:
        As `open_tflite`.
    """
    interpreter = open_tflite(path)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def file_name(network, config, quantize="none"):
    """The name of a converted sub-network's file.

    Args:
        network: A `ResizableNetwork`.
        config: The sub-network's configuration.
        quantize: As `to_tflite` has it.

    Returns:
        Such as `resnet20_0.75_0.5_1.0_float16.tflite`.
    """
    scales = network.space.format(config).replace(",", "_")
    suffix = "" if quantize == "none" else f"_{quantize}"
    return f"{network.name}_{scales}{suffix}.tflite"
