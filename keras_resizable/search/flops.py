import math

import keras

from keras_resizable.layers import ScaleAwareBatchNorm, StageResize
from keras_resizable.space import resized

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
# Layers with weights but without multiply-adds that count.
_FREE = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
    ScaleAwareBatchNorm,
)


def count_flops(model):
    """Multiply-adds of a model for one image.

    As the paper and the mobile literature count them: those of convolutions of
    all kinds and of dense layers; not biases, normalisation, activations,
    pooling or resizing.

    Args:
        model: A functional or sequential `keras.Model` of stock layers with a
            fixed input shape, such as a sub-network. Models in it are counted
            too, and shared layers once for each call.

    Returns:
        An integer.

    Raises:
        ValueError: If the input shape is not fixed, or there is a layer with
            weights whose multiply-adds are not known.
    """
    inputs = [_input_like(tensor.shape, tensor.dtype) for tensor in model.inputs]
    flops, _ = _count(model, inputs)
    return flops


def count_part(part, input_shape, scale_index=None):
    """Multiply-adds of a part of a network for one image.

    Args:
        part: Functional `keras.Model`, such as a stage.
        input_shape: Shape of the features that come in, with the batch.
        scale_index: Scale index of a stage, None for others.

    Returns:
        An integer, and the shape of what comes out.
    """
    inputs = [_input_like(input_shape, part.inputs[0].dtype)]
    if scale_index is not None:
        inputs.append(keras.Input(batch_shape=(), dtype="int32"))
    flops, output = _count(part, inputs, scale_index)
    return flops, output.shape


def _input_like(shape, dtype):
    if None in shape[1:]:
        raise ValueError(
            "FLOPs depend on the size of the input, but the input shape is "
            f"{tuple(shape[1:])}: make the model with a fixed `input_shape`."
        )
    return keras.Input(batch_shape=(1, *shape[1:]), dtype=dtype)


def _count(model, inputs, scale_index=None):
    """The multiply-adds of a model on symbolic inputs, and its output."""
    total = 0
    outputs = None

    def call(layer, *args, **kwargs):
        nonlocal total, outputs
        if isinstance(layer, StageResize):
            height, width = (
                resized(size, layer.scales[scale_index]) for size in args[0].shape[1:3]
            )
            outputs = keras.ops.image.resize(args[0], (height, width))
        elif isinstance(layer, ScaleAwareBatchNorm):
            outputs = args[0]
        elif isinstance(layer, keras.Model):
            outputs = layer(*args, **kwargs)
            total += _count(layer, keras.tree.flatten(args))[0]
        else:
            outputs = layer(*args, **kwargs)
            total += _layer_flops(layer, args, outputs)
        return outputs

    if isinstance(model, keras.Sequential):
        outputs = inputs[0]
        for layer in model.layers:
            outputs = call(layer, outputs)
    else:
        # Not to have a clone, but for the order of calls, with their shapes.
        keras.models.clone_model(
            model,
            input_tensors=keras.tree.pack_sequence_as(model.input, inputs),
            clone_function=lambda layer: layer,
            call_function=call,
        )
    return total, outputs


def _layer_flops(layer, args, outputs):
    if isinstance(layer, _TRANSPOSED):
        # Every input position meets the whole kernel.
        return _positions(args[0], layer.data_format) * _size(layer.kernel)
    if isinstance(layer, _CONVOLUTIONS):
        return _positions(outputs, layer.data_format) * _size(layer.kernel)
    if isinstance(layer, _SEPARABLE):
        kernels = _size(layer.depthwise_kernel) + _size(layer.pointwise_kernel)
        return _positions(outputs, layer.data_format) * kernels
    if isinstance(layer, keras.layers.Dense):
        return math.prod(outputs.shape[1:-1]) * _size(layer.kernel)
    if getattr(layer, "weights", []) and not isinstance(layer, _FREE):
        raise ValueError(
            f"The multiply-adds of layer {layer.name!r}, a "
            f"{type(layer).__name__}, are not known."
        )
    return 0


def _positions(tensor, data_format):
    if data_format == "channels_first":
        return math.prod(tensor.shape[2:])
    return math.prod(tensor.shape[1:-1])


def _size(variable):
    return math.prod(variable.shape)
