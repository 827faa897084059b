"""The pieces that sub-networks are made of: a stage, at a scale, on a size."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

from keras_resizable.graph import layers_of
from keras_resizable.layers import StageResize
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.flops import count_part
from keras_resizable.space import resized
from keras_resizable.sub_network import Cut


class Piece(NamedTuple):
    """A part of a network at a scale.

    Sub-networks that have it share what it costs.

    Args:
        level: 0 for the stem, then the stages, then the head.
        scale_index: Scale index of a stage, else None.
        input_shape: `(height, width, channels)` of what comes in.
        flops: Multiply-adds.
    """

    level: int
    scale_index: int | None
    input_shape: tuple[int, ...]
    flops: int


def pieces_of_configs(
    network: ResizableNetwork, configs: Iterable[Sequence[float]]
) -> list[list[Piece]]:
    """The pieces of sub-networks, without cutting them out.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        configs: Configurations.

    Returns:
        For each configuration a list of `Piece`, from the stem to the head.

    Raises:
        ValueError: If the input shape is not fixed.
    """
    parts = [network.stem, *network.stages, network.head]
    counted: dict[tuple, tuple[Piece, tuple[int | None, ...]]] = {}
    all_pieces = []
    for config in configs:
        indices = (None, *network.space.indices(config), None)
        shape = tuple(network.stem.inputs[0].shape)
        pieces = []
        for level, (part, index) in enumerate(zip(parts, indices)):
            key = (level, index, shape)
            if key not in counted:
                flops, output_shape = count_part(part, shape, index)
                counted[key] = Piece(level, index, shape[1:], flops), output_shape
            piece, shape = counted[key]
            pieces.append(piece)
        all_pieces.append(pieces)
    return all_pieces


def count_flops_of_configs(
    network: ResizableNetwork, configs: Iterable[Sequence[float]]
) -> list[int]:
    """Multiply-adds of sub-networks, without cutting them out.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        configs: Configurations.

    Returns:
        A list of integers, `count_flops(network.sub_network(config))` of each.
    """
    return [
        sum(piece.flops for piece in pieces)
        for pieces in pieces_of_configs(network, configs)
    ]


def cut_piece(network: ResizableNetwork, piece: Piece) -> keras.Model:
    """A piece as a model of stock Keras layers.

    Args:
        network: The `ResizableNetwork` that it is of.
        piece: A `Piece`.

    Returns:
        A functional `keras.Model` with copies of the weights.
    """
    part = [network.stem, *network.stages, network.head][piece.level]
    dtype = part.inputs[0].dtype
    inputs = keras.Input(piece.input_shape, name="features", dtype=dtype)
    return keras.Model(inputs, Cut().part(part, inputs, piece.scale_index or 0))


def content(network: ResizableNetwork, piece: Piece) -> str:
    """A digest of what a piece computes, whatever its weights and names are.

    Pieces of different networks with the same digest take the same time.
    """
    part = [network.stem, *network.stages, network.head][piece.level]
    names = {o.name: number for number, o in enumerate(part.operations)}
    scale = network.space.scales[piece.scale_index or 0]

    def describe(layer):
        if isinstance(layer, StageResize):
            return [resized(size, scale) for size in piece.input_shape[:2]]
        config = layer.get_config()
        return {key: config[key] for key in config if not _is_of_training(key)}

    layers = [[type(layer).__name__, describe(layer)] for layer in part.layers]
    connections = [node["inbound_nodes"] for node in part.get_config()["layers"]]
    inside = {StageResize} & {type(layer) for layer in layers_of(part)}
    scale_inside = scale if inside - {type(layer) for layer in part.layers} else None
    described = _renamed([piece.input_shape, layers, connections, scale_inside], names)
    return hashlib.sha256(json.dumps(described, default=str).encode()).hexdigest()


def _is_of_training(key):
    """Whether a setting of a layer changes nothing of what inference computes."""
    return key.endswith(("_regularizer", "_initializer", "_constraint")) or key in (
        "dtype",  # Files are float32.
        "momentum",
        "num_scales",
        "rate",
        "synchronized",
        "trainable",
    )


def _renamed(value, names):
    """A nested structure with numbers in place of the names of layers."""
    if isinstance(value, dict):
        return {key: _renamed(part, names) for key, part in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [_renamed(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value
