import math

import keras

# Their outputs are not needed by gradients: those of activations after them are.
_NOT_KEPT = (keras.layers.Add, keras.layers.BatchNormalization, keras.layers.Reshape)
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
    weights = 4 * _COPIES * network.count_params()
    model = network.sub_network(network.space.largest, check_statistics=False)
    maps = 0
    for operation in model.operations:
        if not isinstance(operation, _NOT_KEPT):
            for output in keras.tree.flatten(operation.output):
                size = 2 if "16" in output.dtype else 4
                maps += size * math.prod(output.shape[1:])
    return weights + images_per_device * maps
