"""Weights and features of `.tflite` files in fewer bits, by LiteRT's quantizer."""

import contextlib
import io as text_io
import warnings
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from keras_resizable.export.flatbuffer import with_uint8, with_versions
from keras_resizable.subnetworks.calibration import (
    are_unlike,
    batch_norms,
    calibrate_as_changed,
    estimated_statistics,
    tables_of,
)
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.keras_graph import layers_of

IO = ("int8", "uint8", "float32")  # The types of images and outputs of an int8 file.


@contextlib.contextmanager
def on_int8_grid(model: keras.Model, images: np.ndarray | None) -> Iterator[None]:
    """Rounds a model's convolution kernels to 255 steps a channel, in a context.

    The steps are the ones that a quantizer would choose. A batch normalisation that is
    folded into the convolution then changes only the size and the sign of a channel's
    steps. Unless gammas differ in sign, sub-networks have the same int8 weights, and a
    bundle stores them once.

    Rounding shifts the means of features. With images, batch statistics follow, which
    corrects the biases; not so if the images are unlike those of the training.
    """
    kernels = [pair for layer in layers_of(model) for pair in _kernels(layer)]
    tables = tables_of(batch_norms(model)) if images is not None else []
    before = [(v, v.numpy()) for v in (*(kernel for kernel, _ in kernels), *tables)]
    try:
        reference = None if images is None else estimated_statistics(model, images)
        if reference is not None and are_unlike(tables, reference):
            reference = None  # A shift in units of other statistics would do harm.
        for kernel, axes in kernels:
            step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
            step = np.where(step > 0, step, 1)
            kernel.assign(np.rint(kernel / step) * step)
        if reference is not None:
            calibrate_as_changed(model, reference, images)
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _kernels(layer):
    """The kernels of a convolution, each with the axes that share a step."""
    if isinstance(layer, keras.layers.SeparableConv2D):
        return [(layer.depthwise_kernel, (0, 1)), (layer.pointwise_kernel, (0, 1, 2))]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return [(layer.kernel, (0, 1))]
    if isinstance(layer, keras.layers.Conv2D):
        return [(layer.kernel, (0, 1, 2))]
    return []


def quantized(
    content: bytes,
    quantize: str,
    io: str,
    images: Iterable[np.ndarray],
    input_range: tuple[float, float] | None = None,
) -> bytes:
    """A float32 `.tflite` file with int8 weights; see `to_tflite`.

    With `"dynamic"` each convolution quantizes its features as it runs. With `"int8"`
    all features are int8, from the least to the greatest value of each on the images;
    images over their whole `input_range`, so that `"uint8"` images are their pixels.
    With `io="float32"`, images, softmax and outputs are float32.
    """
    recipes = import_extra("litert_quantizer.recipe", "tflite")
    quantizers = import_extra("litert_quantizer.quantizer", "tflite")
    quantizer = quantizers.Quantizer(bytearray(content))
    if quantize == "dynamic":
        quantizer.load_quantization_recipe(recipes.dynamic_wi8_afp32())
    else:
        quantizer.load_quantization_recipe(recipes.static_wi8_ai8())
        if io == "float32":
            for kind in ("INPUT", "OUTPUT", "SOFTMAX"):
                quantizer.update_quantization_recipe(
                    ".*", kind, algorithm_key="no_quantize"
                )
    ranges = None
    # It writes progress bars to standard error even where they are switched off.
    with warnings.catch_warnings(), contextlib.redirect_stderr(text_io.StringIO()):
        # It warns of the memory that keeping all features needs.
        warnings.simplefilter("ignore", UserWarning)
        if quantize == "int8":
            recipe = quantizer.get_quantization_recipe()
            ranges = _ranges(content, recipe, images, input_range)
        result = quantizer.quantize(
            ranges, enable_progress_bar=False, enable_progress_report=False
        )
    content = bytes(result.quantized_model)
    if (quantize, io) == ("int8", "uint8"):
        content = with_uint8(content)
    return with_versions(content)


def _ranges(content, recipe, images, input_range):
    """The least and the greatest value of each feature, over images.

    The quantizer's own ranges are moving averages of each image's, which cut off
    the values that few images have.
    """
    calibrators = import_extra("litert_quantizer.calibrator", "tflite")
    managers = import_extra("litert_quantizer.recipe_manager", "tflite")
    updates = import_extra("litert_quantizer.utils.qsv_utils", "tflite")
    litert = import_extra("ai_edge_litert.interpreter", "tflite")
    interpreter = litert.Interpreter(model_content=content)
    signatures = interpreter.get_signature_list()
    ((signature, tensors),) = signatures.items()
    (name,) = tensors["inputs"]
    samples = [{name: image} for image in images]
    manager = managers.RecipeManager()
    manager.load_quantization_recipe(recipe)
    calibrator = calibrators.Calibrator(content, qsv_update_func=updates.min_max_update)
    calibrator.calibrate({signature: samples}, manager)
    ranges = calibrator.get_model_qsvs()
    if input_range is not None:
        (inputs,) = interpreter.get_input_details()
        of_images = ranges[inputs["name"]]
        for name, value in zip(("min", "max"), input_range):
            of_images[name] = np.full_like(of_images[name], value)
    return ranges
