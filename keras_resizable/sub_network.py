"""Cutting sub-networks out."""

import keras

from keras_resizable.layers import (
    ChannelShuffle,
    DropPath,
    ScaleAwareBatchNorm,
    StageResize,
)
from keras_resizable.space import resized


def cut_out(network, indices):
    """The sub-network at some scale indices, of stock Keras layers only.

    Args:
        network: A `ResizableNetwork`.
        indices: Scale indices, one per stage.

    Returns:
        A functional `keras.Model` with copies of the weights.

    Raises:
        ValueError: If the network's height and width are not fixed.
    """
    input_shape = network.stem.input_shape[1:]
    if None in input_shape:
        raise ValueError(
            "A sub-network has a fixed input shape, but the network's is "
            f"{input_shape}. Make a network with a fixed `input_shape`, and "
            "load the weights of this one into it: they do not depend on it."
        )
    images = keras.Input(input_shape, name="images")
    features = clone_part(network.stem, images)
    for stage, scale_index in zip(network.stages, indices):
        features = clone_part(stage, features, scale_index)
    outputs = clone_part(network.head, features)
    return keras.Model(images, outputs, name=network.name)


def clone_part(part, inputs, scale_index=0):
    """Rebuilds a part of a network of stock layers, with copies of the weights.

    Args:
        part: A stem, stage or head.
        inputs: Features, as a tensor of Keras.
        scale_index: Scale index of a stage.

    Returns:
        The outputs, as a tensor of Keras.
    """
    copies = []
    made = {}

    def clone(layer):
        if isinstance(layer, (ChannelShuffle, DropPath, StageResize)):
            return layer
        if isinstance(layer, ScaleAwareBatchNorm):
            copy = _stock_batch_norm(layer)
        else:
            copy = layer.__class__.from_config(layer.get_config())
        if isinstance(layer, keras.layers.Layer):  # Not an operation.
            copies.append((layer, copy))
        return copy

    def call(layer, *args, **kwargs):
        if isinstance(layer, StageResize):
            outputs = _stock_resize(layer, args[0], scale_index)
        elif isinstance(layer, ChannelShuffle):
            outputs = _stock_shuffle(layer, args[0])
        elif isinstance(layer, DropPath):
            outputs = args[0]
        elif isinstance(layer, keras.layers.BatchNormalization):
            outputs = layer(args[0])  # Without the scale index.
        else:
            outputs = layer(*args, **kwargs)
        made[layer.name] = outputs
        return outputs

    scale_inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
        for tensor in part.inputs[1:]
    ]
    keras.models.clone_model(
        part,
        input_tensors=[inputs, *scale_inputs] if scale_inputs else inputs,
        clone_function=clone,
        call_function=call,
    )
    for layer, copy in copies:
        weights = layer.get_weights()
        if isinstance(layer, ScaleAwareBatchNorm):
            weights = [table[layer.row_of(scale_index)] for table in weights]
        copy.set_weights(weights)
    # Not the clone's own outputs: it has inputs of its own.
    outputs = [made[name] for name in part.output_names]
    return outputs[0] if len(outputs) == 1 else outputs


def _stock_batch_norm(layer):
    config = layer.get_config()
    del config["num_scales"]
    return keras.layers.BatchNormalization.from_config(config)


def _stock_resize(layer, inputs, scale_index):
    scale = layer.scales[scale_index]
    if scale == 1.0:
        return inputs
    height, width = (resized(size, scale) for size in inputs.shape[1:3])
    # Not `keras.layers.Resizing`: its `training=True` by default passes on to
    # the batch normalisations after it (keras-team/keras#23166).
    return keras.ops.image.resize(inputs, (height, width), "bilinear")


def _stock_shuffle(layer, inputs):
    height, width, channels = inputs.shape[1:]
    groups = layer.groups
    x = keras.layers.Reshape((height * width, groups, channels // groups))(inputs)
    x = keras.layers.Permute((1, 3, 2))(x)
    return keras.layers.Reshape((height, width, channels), name=layer.name)(x)
