"""Starting a resizable network from a trained one of the same architecture."""

import itertools

import keras
import numpy as np

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.network import ResizableNetwork


def load_stock_weights(network: ResizableNetwork, model: keras.Model) -> None:
    """Loads the weights of a stock model whose layers have the same names.

    Every scale factor gets the model's batch normalisation. The statistics are right
    only at full size, so other configurations raise an error until the network is
    trained; or cut them out by `network.sub_network(config, calibrate_with=dataset)`.

    Args:
        network: A `ResizableNetwork`, such as a `MobileNetV1`.
        model: A `keras.Model`, such as a `keras.applications.MobileNet` with the same
            `alpha` and `classes`. A model with `include_top=False` leaves the network's
            classifier unchanged.

    Raises:
        ValueError: If the model lacks a layer or has another shape. The network then
            stays unchanged.
    """
    stock = {layer.name: layer for layer in model.layers}
    if "conv_preds" in stock:  # MobileNet's classifier, a 1x1 convolution.
        stock["predictions"] = stock["conv_preds"]
    parts = [network.stem, *network.stages]
    if "predictions" in stock:
        parts.append(network.head)
    taken = []
    for layer in itertools.chain.from_iterable(part.layers for part in parts):
        if layer.weights:
            taken.append((layer, _values(layer, stock.get(layer.name))))
    for layer, values in taken:
        if isinstance(layer, ScaleAwareBatchNorm):
            layer.set_row_weights(values)
        else:
            layer.set_weights(values)
    network.statistics.start_from_full_size()


def _values(layer, stock):
    """The weights of a stock layer, in the shapes of the network's layer."""
    values = [] if stock is None else stock.get_weights()
    if isinstance(layer, ScaleAwareBatchNorm):
        shapes = [value.shape for value in layer.get_row_weights(0)]
    else:
        shapes = [tuple(weight.shape) for weight in layer.weights]
    if list(map(np.size, values)) != list(map(np.prod, shapes)):
        raise ValueError(
            "`model` must have the same architecture, width and number of classes, but "
            f"layer {layer.name!r} has weights of {shapes}. Received: "
            f"{[value.shape for value in values] if stock else 'no such layer'}"
        )
    return [value.reshape(shape) for value, shape in zip(values, shapes)]
