import math

import keras

_layers = keras.layers
# What the gradient of an operation needs: its inputs, or its output.
_KEEP_INPUTS = (
    _layers.BatchNormalization,
    _layers.Conv2D,
    _layers.Dense,
    _layers.DepthwiseConv2D,
    _layers.MaxPooling2D,
    _layers.Multiply,
)
_KEEP_OUTPUT = (_layers.Activation, _layers.MaxPooling2D, _layers.ReLU)
# Weights, momentum, gradients of the plan so far, gradients of one sub-network.
_COPIES = 4


def estimate_training_memory(network, images_per_device):
    """About how much memory a device needs to train a network with momentum.

    Four values for every weight, and the feature maps of the largest sub-network
    that its gradients need: sub-networks of a step run one at a time. What
    convolutions need to work, and what the program needs itself, comes on top.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        images_per_device: Images per step and device.

    Returns:
        Bytes, an integer.
    """
    model = network.sub_network(network.space.largest, check_statistics=False)
    kept = {}
    for operation in model.operations:
        if isinstance(operation, _KEEP_INPUTS):
            kept |= {id(tensor): tensor for tensor in _tensors(operation.input)}
        if isinstance(operation, _KEEP_OUTPUT):
            kept |= {id(tensor): tensor for tensor in _tensors(operation.output)}
    maps = sum(
        (2 if "16" in tensor.dtype else 4) * math.prod(tensor.shape[1:])
        for tensor in kept.values()
    )
    return 4 * _COPIES * network.count_params() + images_per_device * maps


def _tensors(structure):
    return keras.tree.flatten(structure)
