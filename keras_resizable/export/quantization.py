"""Weights and features of `.tflite` files in fewer bits, by LiteRT's quantizer."""

import contextlib
import io as text_io
import itertools
import warnings
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from keras_resizable.export.flatbuffer import with_versions
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.graph import layers_of

# What an int8 file takes and returns.
IO = ("int8", "float32")
# Images to estimate the ranges of features with.
_MAX_IMAGES = 100


@contextlib.contextmanager
def on_int8_grid(model: keras.Model) -> Iterator[None]:
    """Rounds a model's convolution kernels to 255 steps a channel, in a context.

    The steps are those that a quantizer would choose. A batch normalisation after the
    convolution, folded into it, then changes the size and the sign of a channel's
    steps but not their number: except for the sign of gamma, sub-networks have the
    same int8 weights, and a file of several stores them once.

    Args:
        model: A `keras.Model`, such as a sub-network.
    """
    before = [
        (layer, layer.get_weights())
        for layer in layers_of(model)
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    ]
    try:
        for layer, (kernel, *others) in before:
            axes = (
                (0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (0, 1, 2)
            )
            step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
            step = np.where(step > 0, step, 1)
            layer.set_weights([np.rint(kernel / step) * step, *others])
        yield
    finally:
        for layer, weights in before:
            layer.set_weights(weights)


def quantized(
    content: bytes,
    quantize: str,
    *,
    io: str = "int8",
    images: Iterable[np.ndarray] | None = None,
) -> bytes:
    """A float32 `.tflite` file with int8 weights.

    Args:
        content: Bytes of the file. It has one signature with one input.
        quantize: `"dynamic"`: features stay float32, and are quantized to int8 for
            each convolution as it runs. `"int8"`: all features are int8, from the
            least to the greatest value that each takes on the images.
        io: `"int8"`, or `"float32"`: then images, the softmax and the outputs of an
            `"int8"` file are float32.
        images: Iterable of images to estimate with, as the file takes them.

    Returns:
        Bytes.
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
    # Its progress bars, even where they are switched off, go to standard error.
    with warnings.catch_warnings(), contextlib.redirect_stderr(text_io.StringIO()):
        # Of the memory that keeping all features needs.
        warnings.simplefilter("ignore", UserWarning)
        if quantize == "int8":
            ranges = _ranges(content, quantizer.get_quantization_recipe(), images)
        result = quantizer.quantize(
            ranges, enable_progress_bar=False, enable_progress_report=False
        )
    return with_versions(bytes(result.quantized_model))


def _ranges(content, recipe, images):
    """The least and the greatest value of each feature, over images.

    The quantizer's own ranges are moving averages of each image's, which cut off
    what few images have.
    """
    calibrators = import_extra("litert_quantizer.calibrator", "tflite")
    managers = import_extra("litert_quantizer.recipe_manager", "tflite")
    updates = import_extra("litert_quantizer.utils.qsv_utils", "tflite")
    manager = managers.RecipeManager()
    manager.load_quantization_recipe(recipe)
    calibrator = calibrators.Calibrator(content, qsv_update_func=updates.min_max_update)
    calibrator.calibrate(_samples(content, images), manager)
    return calibrator.get_model_qsvs()


def _samples(content, images):
    """Images as the quantizer takes them: by signature and input."""
    litert = import_extra("ai_edge_litert.interpreter", "tflite")
    signatures = litert.Interpreter(model_content=content).get_signature_list()
    ((signature, tensors),) = signatures.items()
    (name,) = tensors["inputs"]
    images = itertools.islice(images, _MAX_IMAGES)
    return {signature: [{name: image} for image in images]}
