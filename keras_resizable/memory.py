"""An estimate of the memory that training needs."""

import math

import keras

from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.shapes import outputs_of

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


def estimate_training_memory(network: ResizableNetwork, images_per_device: int) -> int:
    """About how much memory a device needs to train a network with momentum.

    Four values for every weight, and the feature maps of the largest sub-network
    that its gradients need: sub-networks of a step run one at a time. If it was
    compiled with `split_batch=True`, each on its share of the images. What
    convolutions need to work, and what the program needs itself, comes on top.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        images_per_device: Images per step and device.

    Returns:
        Bytes, an integer.
    """
    model = network.sub_network(network.space.largest, check_statistics=False)
    of_stem = _bytes_of_maps(network.stem)
    of_stages = _bytes_of_maps(model) - of_stem
    share = images_per_device
    if network.compiled and network.training_step.split_batch:
        count = len(network.training_step.draw_plan())
        share = math.ceil(images_per_device / count)
    maps = images_per_device * of_stem + share * of_stages
    return 4 * _COPIES * network.count_params() + maps


def _bytes_of_maps(model):
    """Those that the gradients of one image need."""
    kept: dict[int, keras.KerasTensor] = {}

    def keep(operation, inputs, _, outputs):
        if isinstance(operation, _KEEP_INPUTS):
            kept.update({id(t): t for t in keras.tree.flatten(inputs)})
        if isinstance(operation, _KEEP_OUTPUT):
            kept.update({id(t): t for t in keras.tree.flatten(outputs)})

    (images,) = model.inputs
    shape = (1, *images.shape[1:])
    outputs_of(model, keras.KerasTensor(shape, images.dtype), visit=keep)
    return sum(
        (2 if "16" in tensor.dtype else 4) * math.prod(tensor.shape[1:])
        for tensor in kept.values()
    )
