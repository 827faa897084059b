"""The pieces that sub-networks are made of: a stage, at a scale, on a size."""

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import keras

from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.shapes import inputs_of, outputs_of

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork


class Piece(NamedTuple):
    """A part of a network at a scale.

    Sub-networks that have it share what it costs.

    Args:
        level: 0 for the stem, then the stages, then the head.
        scale_index: Scale index of a stage, else 0.
        input_shape: `(height, width, channels)` of what comes in.
        flops: Multiply-adds.
    """

    level: int
    scale_index: int
    input_shape: tuple[int, ...]
    flops: int


def pieces_of_configs(
    network: "ResizableNetwork", configs: Iterable[ConfigLike]
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
    counted: dict[tuple, tuple[Piece, tuple[int | None, ...]]] = {}
    all_pieces = []
    for config in configs:
        config = network.space.config(config)
        shape = tuple(network.stem.inputs[0].shape)
        pieces = []
        for level, part in enumerate(network.parts):
            index = part.scale_index_in(config)
            key = (level, index, shape)
            if key not in counted:
                flops, output_shape = part.count_flops(shape, index)
                counted[key] = Piece(level, index, shape[1:], flops), output_shape
            piece, shape = counted[key]
            pieces.append(piece)
        all_pieces.append(pieces)
    return all_pieces


def count_flops_of_configs(
    network: "ResizableNetwork", configs: Iterable[ConfigLike]
) -> list[int]:
    """Multiply-adds of sub-networks, without cutting them out.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        configs: Configurations.

    Returns:
        A list of integers, `count_flops(network.sub_network(config))` of each.

    Example:

    >>> import keras_resizable
    >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5))
    >>> keras_resizable.count_flops_of_configs(network, ["1.0", "0.5,0.5,0.5"])
    [40813184, 5866112]
    """
    return [
        sum(piece.flops for piece in pieces)
        for pieces in pieces_of_configs(network, configs)
    ]


def cut_piece(network: "ResizableNetwork", piece: Piece) -> keras.Model:
    """A piece as a model of stock Keras layers.

    Args:
        network: The `ResizableNetwork` that it is of.
        piece: A `Piece`.

    Returns:
        A functional `keras.Model` with copies of the weights.
    """
    part = network.parts[piece.level]
    dtype = part.model.inputs[0].dtype
    inputs = keras.Input(piece.input_shape, name="features", dtype=dtype)
    outputs = part.cut_out(inputs, piece.scale_index)
    # A name of Keras's own grows from piece to piece, and the file of it with it.
    return keras.Model(inputs, outputs, name="piece")


def content(network: "ResizableNetwork", piece: Piece) -> str:
    """A digest of what a piece computes, whatever its weights and names are.

    Pieces of different networks with the same digest take the same time.
    """
    model = network.parts[piece.level].model
    inputs = inputs_of(model, (1, *piece.input_shape))
    tensors = keras.tree.flatten(inputs)  # Held, as they are told apart by identity.
    calls = []

    def number(tensor):
        return next((n for n, known in enumerate(tensors) if known is tensor), None)

    def note(operation, args, kwargs, outputs):
        settings = operation.get_config()
        settings = {k: v for k, v in settings.items() if not _changes_nothing(k)}
        of = [number(tensor) for tensor in keras.tree.flatten((args, kwargs))]
        new = keras.tree.flatten(outputs)
        sizes = [tensor.shape for tensor in new]
        tensors.extend(new)
        calls.append([type(operation).__name__, settings, of, sizes])

    outputs_of(model, inputs, piece.scale_index, note)
    described = json.dumps([piece.input_shape, calls], default=str, sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


def _changes_nothing(key):
    """Whether a setting of a layer changes nothing of what inference computes."""
    return key.endswith(("_regularizer", "_initializer", "_constraint")) or key in (
        "dtype",  # Files are float32.
        "momentum",
        "name",
        "num_scales",
        "rate",
        "scales",  # The sizes that they lead to do.
        "seed",
        "synchronized",
        "trainable",
    )
