"""Counting multiply-adds."""

import math
import warnings

import keras
import tensorflow as tf

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.subnetworks.shapes import inputs_of, outputs_of, structured
from keras_resizable.utils.graph import is_graph

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
# Layers with weights, of several axes maybe, but without multiply-adds that count.
_FREE = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
    ScaleAwareBatchNorm,
)
# Operations of TensorFlow that multiply and add.
_PRODUCTS = ("BatchMatMulV2", "Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul")
# Those that TensorFlow's profiler counts none of, or does not look into.
_UNSEEN = {
    *("Conv2DBackpropInput", "Conv3DBackpropInputV2", "Einsum", "If", "StatelessIf"),
    *("PartitionedCall", "StatefulPartitionedCall", "StatelessWhile", "While"),
}


def count_flops(model: keras.Model) -> int:
    """Multiply-adds of a model for one image.

    As the paper and the mobile literature count them: those of convolutions of
    all kinds and of dense layers; not biases, normalisation, activations,
    pooling or resizing. Another layer with a kernel counts its kernel once for each
    position of the output; a layer whose weights are all vectors counts nothing; of any
    other, such as a block of several layers, TensorFlow's profiler counts convolutions
    and matrix products. One into which it does not see, or in which it finds none, is
    skipped with a warning that names it.

    Args:
        model: A functional or sequential `keras.Model` with a fixed input shape, such
            as a sub-network. Models in it are counted too, and shared layers once for
            each call. It is not changed.

    Returns:
        An integer.

    Raises:
        ValueError: If the input shape is not fixed, or the model is neither functional
            nor sequential.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 1)])
    >>> keras_resizable.count_flops(model)
    960
    """
    if not is_graph(model):
        raise ValueError(
            "FLOPs are counted of functional and sequential models. Received: "
            f"{type(model).__name__}"
        )
    inputs = [
        keras.KerasTensor(_of_one_image(tensor.shape), tensor.dtype)
        for tensor in model.inputs
    ]
    return _count(model, structured(model, inputs))[0]


def count_part(
    part: keras.Model,
    input_shape: tuple[int | None, ...],
    scale_index: int | None = None,
) -> tuple[int, tuple[int | None, ...]]:
    """Multiply-adds of a part of a network for one image.

    Args:
        part: Functional `keras.Model`, such as a stage.
        input_shape: Shape of the features that come in, with the batch.
        scale_index: Scale index of a stage, None for others.

    Returns:
        An integer, and the shape of what comes out; of several outputs that of the
        first.
    """
    inputs = inputs_of(part, _of_one_image(input_shape))
    flops, outputs = _count(part, inputs, scale_index)
    return flops, keras.tree.flatten(outputs)[0].shape


def _of_one_image(shape):
    if None in shape[1:]:
        raise ValueError(
            "FLOPs depend on the size of the input, but the input shape is "
            f"{tuple(shape[1:])}: make the model with a fixed `input_shape`."
        )
    return (1, *shape[1:])


def _count(model, inputs, scale_index=None):
    """The multiply-adds of a model, and the shapes of its outputs."""
    total = 0

    def add(operation, args, kwargs, outputs):
        nonlocal total
        total += _layer_flops(operation, args, kwargs, outputs)

    outputs = outputs_of(model, inputs, scale_index, add)
    return total, outputs


def _layer_flops(layer, args, kwargs, outputs):
    if isinstance(layer, _TRANSPOSED):
        # Every input position meets the whole kernel.
        return _positions(args[0], layer.data_format) * _size(layer.kernel)
    if isinstance(layer, _CONVOLUTIONS):
        return _positions(outputs, layer.data_format) * _size(layer.kernel)
    if isinstance(layer, _SEPARABLE):
        kernels = _size(layer.depthwise_kernel) + _size(layer.pointwise_kernel)
        return _positions(outputs, layer.data_format) * kernels
    weights = getattr(layer, "weights", [])  # An operation has none.
    if isinstance(layer, _FREE) or all(len(w.shape) <= 1 for w in weights):
        return 0
    kernel = getattr(layer, "kernel", None)
    if kernel is not None and isinstance(outputs, keras.KerasTensor):
        return math.prod(outputs.shape[1:-1]) * _size(kernel)
    if profiled := _profiled_flops(layer, args, kwargs):
        return profiled
    warnings.warn(
        f"The multiply-adds of layer {layer.name!r}, a {type(layer).__name__}, are not "
        "known and not counted.",
        stacklevel=2,
    )
    return 0


def _profiled_flops(layer, args, kwargs):
    """Multiply-adds of the convolutions and matrix products that a layer runs.

    0 if it runs something that the profiler does not see into.
    """
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

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
    function = tf.function(run, autograph=False)
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    options["account_type_regexes"] = list(_PRODUCTS)
    options["output"] = "none"
    graph = function.get_concrete_function(*specs).graph
    if any(operation.type in _UNSEEN for operation in graph.get_operations()):
        return 0
    return profiler.profile(graph, cmd="op", options=options).total_float_ops // 2


def _positions(tensor, data_format):
    if data_format == "channels_first":
        return math.prod(tensor.shape[2:])
    return math.prod(tensor.shape[1:-1])


def _size(variable):
    return math.prod(variable.shape)
