"""The pieces that sub-networks share: a part at a scale, for an input size."""

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import keras

from keras_resizable.layers.stock_form import Shape
from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.shapes import inputs_of, outputs_of

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork

# Settings without effect on a float32 file for inference. The sizes that follow from
# the scales are noted separately.
_WITHOUT_EFFECT = {
    *("dtype", "momentum", "name", "num_scales", "rate", "scales", "seed"),
    *("synchronized", "trainable"),
}
_TRAINING_ONLY = ("_regularizer", "_initializer", "_constraint")


class Piece(NamedTuple):
    """A part at a scale and an input size, whose cost several sub-networks share."""

    level: int  # Position in `network.parts`.
    scale_index: int
    input_shape: tuple[int, ...]  # Without the batch.
    flops: int


def pieces_of_configs(
    network: "ResizableNetwork", configs: Iterable[ConfigLike]
) -> list[list[Piece]]:
    """The pieces of each configuration from stem to head, found without cutting out."""
    counted: dict[tuple, tuple[Piece, Shape]] = {}
    all_pieces = []
    for config in map(network.space.config, configs):
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
    """Counts multiply-adds of sub-networks without cutting them out.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        configs: Configurations.

    Returns:
        A list of integers, `count_flops(network.sub_network(config))` for each.

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
    """A piece as a model of stock Keras layers, with copies of the weights."""
    part = network.parts[piece.level]
    dtype = part.model.inputs[0].dtype
    inputs = keras.Input(piece.input_shape, name="features", dtype=dtype)
    outputs = part.cut_out(inputs, piece.scale_index)
    # Keras's automatic names grow from piece to piece, and so would files.
    return keras.Model(inputs, outputs, name="piece")


def content(network: "ResizableNetwork", piece: Piece) -> str:
    """A digest of all settings of a piece that its latency depends on."""
    model = network.parts[piece.level].model
    inputs = inputs_of(model, (1, *piece.input_shape))
    tensors = list(inputs)  # Kept alive, since tensors are told apart by `id`.
    calls = []

    def number(tensor):
        return next((n for n, known in enumerate(tensors) if known is tensor), None)

    def note(operation, args, kwargs, outputs):
        settings = {
            name: value
            for name, value in operation.get_config().items()
            if name not in _WITHOUT_EFFECT and not name.endswith(_TRAINING_ONLY)
        }
        of = [number(tensor) for tensor in keras.tree.flatten((args, kwargs))]
        new = keras.tree.flatten(outputs)
        sizes = [tensor.shape for tensor in new]
        tensors.extend(new)
        calls.append([type(operation).__name__, settings, of, sizes])

    outputs_of(model, inputs, piece.scale_index, note)
    described = json.dumps([piece.input_shape, calls], default=str, sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()
