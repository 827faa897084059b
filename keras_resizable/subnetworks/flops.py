"""Counting multiply-adds."""

import math
import warnings
from typing import Any

import keras
import tensorflow as tf

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.layers.stock_form import Shape
from keras_resizable.subnetworks.shapes import outputs_of
from keras_resizable.utils.keras_graph import require_fixed_size, require_graph

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_CONVOLUTIONS = (
    *_TRANSPOSED,
    *_SEPARABLE,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
# Layers whose weights, of any rank, add no multiply-adds.
_FREE = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
    ScaleAwareBatchNorm,
)
# TensorFlow's operations that multiply and add.
_PRODUCTS = ("BatchMatMulV2", "Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul")
# Operations that TensorFlow's profiler does not count, or does not look into.
_UNSEEN = {
    *("Conv2DBackpropInput", "Conv3DBackpropInputV2", "Einsum", "If", "StatelessIf"),
    *("PartitionedCall", "StatefulPartitionedCall", "StatelessWhile", "While"),
}


def count_flops(model: keras.Model) -> int:
    """Multiply-adds of a model for one image.

    As in the paper and the mobile literature, all convolutions and dense layers count;
    biases, normalisation, activations, pooling and resizing do not. Any other layer
    with a kernel counts its kernel once for each position of the output. In layers with
    other weights than vectors, such as a block of several layers, TensorFlow's profiler
    counts convolutions and matrix products. A layer in which it finds none, or that it
    cannot look into, is skipped with a warning.

    Args:
        model: A functional or sequential `keras.Model` with a fixed input shape, such
            as a sub-network. Shared layers count once for each call.

    Returns:
        An integer.

    Raises:
        ValueError: If the input shape is not fixed, or the model is of another kind.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 1)])
    >>> keras_resizable.count_flops(model)
    960
    """
    require_graph(model)
    inputs = [
        keras.KerasTensor(of_one_image(tensor.shape), tensor.dtype)
        for tensor in model.inputs
    ]
    return flops_and_outputs(model, inputs)[0]


def of_one_image(shape: Shape) -> Shape:
    """The shape of a batch with one image."""
    require_fixed_size(shape)
    return (1, *shape[1:])


def flops_and_outputs(
    model: keras.Model, inputs: Any, scale_index: int | None = None
) -> tuple[int, Any]:
    """The multiply-adds of a model for symbolic inputs, and its symbolic outputs."""
    counts = []

    def count(*call):
        counts.append(layer_flops(*call))

    outputs = outputs_of(model, inputs, scale_index, count)
    return sum(counts), outputs


def layer_flops(layer: keras.Operation, args: tuple, kwargs: dict, outputs: Any) -> int:
    """The multiply-adds of a call of a layer with one image, or an operation."""
    if isinstance(layer, _CONVOLUTIONS):
        # Every input position of a transposed one meets the whole kernel.
        shape = (args[0] if isinstance(layer, _TRANSPOSED) else outputs).shape
        is_first = layer.data_format == "channels_first"
        positions = math.prod(shape[2:] if is_first else shape[1:-1])
        if isinstance(layer, _SEPARABLE):
            kernels = [layer.depthwise_kernel, layer.pointwise_kernel]
        else:
            kernels = [layer.kernel]
        return positions * sum(math.prod(kernel.shape) for kernel in kernels)
    weights = getattr(layer, "weights", [])  # An operation has none.
    if isinstance(layer, _FREE) or all(len(w.shape) <= 1 for w in weights):
        return 0
    kernel = getattr(layer, "kernel", None)
    if kernel is not None and isinstance(outputs, keras.KerasTensor):
        return math.prod(outputs.shape[1:-1]) * math.prod(kernel.shape)
    if profiled := _profiled_flops(layer, args, kwargs):
        return profiled
    warnings.warn(
        f"The multiply-adds of layer {layer.name!r}, a {type(layer).__name__}, are not "
        "known and not counted.",
        stacklevel=2,
    )
    return 0


def _profiled_flops(layer, args, kwargs):
    """Multiply-adds that the profiler counts in a layer; 0 if it misses some."""
    tensors = [
        leaf
        for leaf in keras.tree.flatten((args, kwargs))
        if isinstance(leaf, keras.KerasTensor)
    ]

    def run(*values):
        given = {id(tensor): value for tensor, value in zip(tensors, values)}
        of_layer, named = keras.tree.map_structure(
            lambda leaf: given.get(id(leaf), leaf), (args, kwargs)
        )
        return layer(*of_layer, **named)

    specs = [
        tf.TensorSpec([1 if size is None else size for size in t.shape], t.dtype)
        for t in tensors
    ]
    graph = tf.function(run, autograph=False).get_concrete_function(*specs).graph
    if any(operation.type in _UNSEEN for operation in graph.get_operations()):
        return 0
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    options["account_type_regexes"] = list(_PRODUCTS)
    options["output"] = "none"
    return profiler.profile(graph, cmd="op", options=options).total_float_ops // 2
