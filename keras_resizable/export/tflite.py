"""Writing `.tflite` files, and checking them."""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.export.accuracy import (
    OUTPUTS,
    PROBABILITIES,
    evaluate_tflite,
    kind_of_outputs,
)
from keras_resizable.export.comparison import compare_tflite, named_outputs
from keras_resizable.export.flatbuffer import with_metadata
from keras_resizable.export.precision import (
    float32_twin,
    tolerance_of,
)
from keras_resizable.export.quantization import (
    IO,
    on_int8_grid,
    quantized,
)
from keras_resizable.export.tflite_file import TFLiteFile
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import ConfigLike
from keras_resizable.utils.arguments import number, one_of, with_suffix
from keras_resizable.utils.batches import (
    Batches,
    are_images_alone,
    evaluation_batches,
    image_batches,
    watched,
)
from keras_resizable.utils.classifier_outputs import (
    Classifier,
    check_labels,
    has_classification_loss,
    has_regression_loss,
)
from keras_resizable.utils.extras import import_extra, version_of
from keras_resizable.utils.files import replacing
from keras_resizable.utils.keras_graph import require_fixed_size, require_graph
from keras_resizable.utils.quiet import quiet_libraries

QUANTIZE = ("none", "float16", "dynamic", "int8")
# How far the outputs may be from Keras's, on average, as a share of the largest. In
# int8, ResNet-50 was off by 0.18 when it was hardly trained.
_TOLERANCE = {"none": 1e-4, "float16": 1e-2, "dynamic": 0.1, "int8": 0.3}
_CHECKED_IMAGES = 16
_MUCH_UNEXPLAINED = 0.5  # Of the variance of an output.
_MUCH_OFF = 0.02  # Of the largest output.
_QUANTIZER_IMAGES = 100  # To estimate ranges of features and batch statistics with.


def to_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str = "none",
    *,
    io: str = "int8",
    calibrate_with: Batches | None = None,
    evaluate_with: Batches | None = None,
    max_loss: float = 0.02,
    labels: Sequence[str] | None = None,
    input_range: tuple[float, float] | None = None,
    metadata: dict[str, Any] | None = None,
    reference: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> TFLiteFile:
    """Converts a model to TFLite and checks the file against it.

    The file has a batch size of 1, static shapes and builtin operators only. Models in
    mixed precision are converted as in float32.

    | `quantize` | weights | features, inputs and outputs |
    |---|---|---|
    | `"none"` | float32 | float32 |
    | `"float16"` | float16, half the size | float32 |
    | `"dynamic"` | int8 per channel, a quarter | float32 |
    | `"int8"` | int8 per channel, a quarter | int8; inputs and outputs as in `io` |

    With `labels` and `input_range` the file has TFLite's standard metadata, so that
    MediaPipe's ImageClassifier runs it, unless it takes int8.

    With images to evaluate (`evaluate_with`), the file may lose at most `max_loss`
    accuracy or, if they have no labels, agreement with Keras. Of a model that does not
    classify images, each output may lose that share of its answers, one for each pixel,
    or of its variance. Without such images, outputs may differ by a share of the
    largest: 1e-4 in float32, 0.3 in int8, which guarantees little for a classifier.

    Args:
        model: A `keras.Model` of stock layers with one input of a fixed shape, such as
            a sub-network.
        path: Path of a `.tflite` file. An existing one is replaced.
        quantize: See above.
        io: Input and output type of an `"int8"` file: `"uint8"`, the pixels of images,
            for MediaPipe, Android, cameras and browsers; `"int8"` for microcontrollers
            and accelerators; or `"float32"`. For many classes use `"float32"`, or a
            model with logits: probabilities in 8 bits have steps of 1/256, so that many
            are equal, even among the first five.
        calibrate_with: `tf.data.Dataset` of batches of images, alone or followed by
            targets; or images as one array. `"int8"` estimates the ranges of features
            on the first 100, and with `"dynamic"`, too, they correct batch statistics
            for the rounding of kernels. The outputs are compared on them, or on noise
            without them.
        evaluate_with: `tf.data.Dataset` of batches of images and labels, or both as a
            tuple of arrays, for a classifier. Images without labels are for any model:
            the file must give the answers of Keras.
        max_loss: Top-1 that a file may lose to Keras, such as 0.02 for two points, with
            95 % confidence; without labels, the share of other answers. A warning tells
            if the images are too few for that.
        labels: Names of the classes in order.
        input_range: The model's input values for pixels 0 and 255, such as (-1, 1) or
            (0, 255). `labels` and `io="uint8"` need it.
        metadata: Dictionary for JSON, which `read_metadata` returns with the labels and
            the range. For one output of two classes, `"outputs"` may be
            `"probabilities"` or `"logits"`.
        reference: Callable from images to the outputs to compare with, such as the
            super-network that the model was cut out of; by default the model.

    Returns:
        A `TFLiteFile`, with the accuracy in its metadata.

    Raises:
        ValueError: If an argument is not valid, the model has several inputs or takes
            images of any size, or the file loses too much.
        TypeError: If JSON cannot hold the metadata.
        OSError: If the folder cannot be written.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_resizable import ResNet20, export
    >>> model = ResNet20(scales=(1.0, 0.5)).sub_network("0.5")
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sub.tflite"
    >>> export.to_tflite(model, path).operators["CONV_2D"]
    21
    """
    path = with_suffix(path, ".tflite")
    check_options(quantize, io, calibrate_with, max_loss, input_range, metadata)
    _check_model(model)
    if labels is not None:
        labels = _checked_labels(labels, model, input_range)
    import_extra("ai_edge_litert", "tflite")  # Before the work.
    is_classifier = OUTPUTS in (metadata or {}) or _is_classifier(model)
    if evaluate_with is not None:
        batches = evaluation_batches(evaluate_with, model, "evaluate_with")
        if not are_images_alone(batches):
            is_classifier, num_outputs = True, Classifier(model).num_outputs
            for _, batch_labels in batches.take(1):
                check_labels(batch_labels, num_outputs)
        evaluate_with = batches
    about = _about(model) | kind_of_outputs(model) | (metadata or {})
    about |= {"quantize": quantize} | ({"io": io} if quantize == "int8" else {})
    about |= about_images(labels, input_range)
    reference = reference or functools.partial(model, training=False)
    tolerance = max(_TOLERANCE[quantize], tolerance_of(model))
    model = float32_twin(model)
    is_quantized = quantize in ("dynamic", "int8")
    count = _QUANTIZER_IMAGES if is_quantized else _CHECKED_IMAGES
    images = list(itertools.islice(_images(model, calibrate_with), count))
    with replacing(path) as temporary:
        if is_quantized:
            seen = None if calibrate_with is None else np.concatenate(images)
            with on_int8_grid(model, seen):
                content = _converted(model)
            content = quantized(content, quantize, io, images, input_range)
        else:
            content = _converted(model, quantize)
        temporary.write_bytes(with_metadata(content, about))
        if evaluate_with is not None:
            if is_classifier:
                accuracy = evaluate_tflite(
                    temporary, evaluate_with, compare_with=reference
                )
                _check_accuracy(accuracy, max_loss, path.name, about)
                about["accuracy"] = accuracy.as_metadata()
            else:
                compared = compare_tflite(temporary, reference, evaluate_with)
                _check_losses(compared, max_loss)
                about["comparison"] = list(map(dataclasses.asdict, compared))
            temporary.write_bytes(with_metadata(content, about))
            if is_quantized:
                tolerance = np.inf  # The check above is the better one.
        checked = np.concatenate(images[:_CHECKED_IMAGES])
        compared = compare_tflite(temporary, reference, checked)
        difference = _check_differences(compared, tolerance)
        if quantize == "int8" and evaluate_with is None:
            _warn_of_losses(compared, path.name)
    return TFLiteFile(path, difference)


def check_options(
    quantize: str,
    io: str,
    calibrate_with: Batches | None,
    max_loss: float,
    input_range: tuple[float, float] | None,
    metadata: dict[str, Any] | None,
) -> None:
    """Raises if these options of `to_tflite` are not valid."""
    one_of("quantize", quantize, QUANTIZE)
    one_of("io", io, IO)
    number("max_loss", max_loss, 0, 1)
    json.dumps(metadata)  # Fails here if it cannot.
    if quantize == "int8" and calibrate_with is None:
        raise ValueError(
            "int8 needs `calibrate_with`: images to estimate the ranges of features."
        )
    if input_range is not None:
        low, high = input_range
        if not low < high:
            raise ValueError(
                "`input_range` must be the input values for pixels 0 and 255, the "
                f"smaller first. Received: input_range={input_range!r}"
            )
    elif (quantize, io) == ("int8", "uint8"):
        raise ValueError(
            "`io='uint8'` takes the pixels of images and needs `input_range`, the "
            "model's input values for pixels 0 and 255, such as (-1, 1)."
        )


def _checked_labels(labels, model, input_range):
    """The names of the classes as a list; raises if they do not fit the model."""
    labels = list(labels)
    if input_range is None:
        raise ValueError(
            "`labels` need `input_range`, the model's input values for pixels 0 and "
            "255, such as (-1, 1): without it no client can prepare an image."
        )
    num_outputs = model.outputs[0].shape[-1]
    num_classes = 2 if num_outputs == 1 else num_outputs
    if len(labels) != num_classes:
        raise ValueError(
            f"`labels` must name the {num_classes} classes of the model. Received "
            f"{len(labels)}: {labels[:3]}"
        )
    for label in labels:
        if not isinstance(label, str) or len(label.splitlines()) != 1:
            raise ValueError(
                "`labels` must be non-empty strings without line breaks. Received: "
                f"{label!r}"
            )
        label.encode()
    return labels


def about_images(
    labels: Sequence[str] | None, input_range: tuple[float, float] | None
) -> dict[str, Any]:
    """The metadata of a file that tell of its images and labels."""
    about: dict[str, Any] = {}
    if labels is not None:
        about["labels"] = list(labels)
    if input_range is not None:
        about["input_range"] = [float(value) for value in input_range]
    return about


def _check_model(model):
    """Raises if a model has not one input of a fixed size."""
    is_ours = isinstance(model, ResizableNetwork)
    if not is_ours:
        require_graph(model)
    if is_ours or len(model.inputs) != 1:
        raise ValueError(
            "`model` must be a keras.Model of one input, such as "
            f"`network.sub_network(config)`. Received: model={model!r}"
        )
    require_fixed_size(model.input_shape)


def _is_classifier(model):
    """Whether outputs are classes rather than maps or quantities, if nobody says."""
    shapes = [tuple(output.shape) for output in model.outputs]
    if [len(shape) for shape in shapes] != [2] or has_regression_loss(model):
        return False
    return (
        shapes[0][-1] > 1
        or has_classification_loss(model)
        or kind_of_outputs(model) == {OUTPUTS: PROBABILITIES}
    )


def convert(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes a model as a float32 `.tflite` file without a check."""
    content = _converted(float32_twin(model))
    pathlib.Path(path).write_bytes(with_metadata(content, _about(model)))


def _converted(model, quantize="none"):
    """The bytes of a float32 model as a `.tflite` file in float32 or float16."""
    (inputs,) = model.inputs
    # Weights as constants: variables take up to four times as long to convert.
    weights = [
        (variable, tf.constant(variable.numpy())) for variable in model.variables
    ]

    # Named as `keras.Model.export` names inputs.
    # Outputs as a dictionary, so that they keep their names.
    @tf.function(
        input_signature=[tf.TensorSpec((1, *inputs.shape[1:]), inputs.dtype, "args_0")],
        autograph=False,
    )
    def run(images):
        with keras.StatelessScope(weights):
            return named_outputs(model(images, training=False))

    with tempfile.TemporaryDirectory() as folder, _quiet():
        tf.saved_model.save(tf.Module(), folder, run.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()


@contextlib.contextmanager
def _quiet():
    """Hides TensorFlow's messages about each file's folder and unused settings."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        with quiet_libraries():
            yield
    finally:
        logger.setLevel(level)


def _about(model):
    """The metadata of every file."""
    return {"name": model.name, "version": version_of("keras-resizable")}


def _images(model, dataset):
    """Yields images from a data set in batches of 1, or one image of noise."""
    (inputs,) = model.inputs
    if dataset is None:
        noise = np.random.default_rng(0).random((1, *inputs.shape[1:]), np.float32)
        # An integer input is assumed to take the pixels of image files.
        integer = tf.as_dtype(inputs.dtype).is_integer
        yield (255 * noise if integer else noise).astype(inputs.dtype)
        return
    for images in watched(image_batches(dataset, model), "calibrate_with"):
        yield from images.numpy()[:, np.newaxis]


def _check_accuracy(accuracy, max_loss, name, metadata):
    """Raises if a file loses too much, and warns if too few images tell."""
    lost = "agreement" if accuracy.top1 is None else "accuracy"
    if accuracy.loses(max_loss):
        others = "a more precise `quantize`, such as 'float16'"
        if metadata.get("io") in ("int8", "uint8") and accuracy.ties:
            others = f"io='float32', which does not round probabilities; {others}"
        raise ValueError(
            f"The file loses more than {100 * max_loss:g} points of {lost}: "
            f"{accuracy}. Convert with {others}; or raise `max_loss`."
        )
    if accuracy.may_lose(max_loss):
        warnings.warn(
            f"{accuracy.num_images} images cannot tell whether {name} loses more than "
            f"{100 * max_loss:g} points: {accuracy}.",
            stacklevel=3,
        )


def _check_losses(comparisons, max_loss):
    """Raises for an output of a file that loses too much."""
    for output in comparisons:
        if not output.loss <= max_loss:
            raise ValueError(
                f"The file is too far from its model in output {output}. Convert with "
                "a more precise `quantize`, such as 'float16'; or raise `max_loss`, "
                f"{max_loss:g}."
            )


def _warn_of_losses(comparisons, name):
    """Warns if a file that nothing else judges says little of what its model says."""
    for output in comparisons:
        # Where outputs hardly vary, all of that may be rounding.
        if output.unexplained > _MUCH_UNEXPLAINED and output.difference > _MUCH_OFF:
            warnings.warn(
                f"{name} reproduces little of its model in output {output}. Pass "
                "`evaluate_with`, or try a more precise `quantize`, such as 'float16'.",
                stacklevel=3,
            )


def _check_differences(comparisons, tolerance):
    """The largest difference of an output; raises beyond the tolerance."""
    for output in comparisons:
        if not output.difference <= tolerance:
            raise ValueError(
                f"The file differs from its model in output {output}; at most "
                f"{tolerance:.2g} is allowed."
            )
    return max(output.difference for output in comparisons)


def suffix_of(quantize: str, io: str = "int8") -> str:
    """The suffix of file names and latency columns, such as `_int8_float32`."""
    suffix = "" if quantize == "none" else f"_{quantize}"
    return f"{suffix}_{io}" if quantize == "int8" != io else suffix


def file_name(
    network: ResizableNetwork,
    config: ConfigLike,
    quantize: str = "none",
    io: str = "int8",
) -> str:
    """The name of a file, such as `resnet20_0.75_0.5_1.0_float16.tflite`."""
    key = network.space.config(config).key
    return f"{network.name}_{key}{suffix_of(quantize, io)}.tflite"
