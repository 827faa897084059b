"""The shapes of features in a network, whose layers are not run or changed."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_resizable.layers import HasStockForm
from keras_resizable.utils.graph import is_graph, run_through
from keras_resizable.utils.messages import first_line

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork
    from keras_resizable.space import Configuration


def outputs_of(
    part: keras.Model,
    inputs: Any,
    scale_index: int | None = None,
    visit: Callable[..., None] | None = None,
) -> Any:
    """The outputs of a model for inputs of some shape.

    Args:
        part: Functional or sequential `keras.Model`, such as a stage.
        inputs: `keras.KerasTensor`s, in the structure of `part.input`.
        scale_index: Scale index of a stage, an integer.
        visit: Callable `(operation, args, kwargs, outputs)` for each call of a layer or
            an operation; those of models inside come one by one too.

    Returns:
        `keras.KerasTensor`s, in the structure of `part.output`.
    """

    def call(operation, *args, **kwargs):
        if is_graph(operation):
            return run_through(operation, args[0] if len(args) == 1 else args, call)
        if isinstance(operation, HasStockForm):
            outputs = operation.sizes_at(args[0], scale_index)
        else:
            outputs = output_spec(operation, *args, **kwargs)
        if visit is not None:
            visit(operation, args, kwargs, outputs)
        return outputs

    return run_through(part, inputs, call)


def inputs_of(
    part: keras.Model, shape: tuple[int | None, ...], dtype: str | None = None
) -> Any:
    """Inputs of a part of a network for features of some shape.

    Args:
        part: A stem, a stage or a head.
        shape: Shape of the features, with the batch.
        dtype: Dtype of the features; what the part takes if absent.

    Returns:
        `keras.KerasTensor`s, in the structure of `part.input`.
    """
    features, *others = part.inputs
    tensors = [keras.KerasTensor(shape, dtype or features.dtype)]
    tensors += [keras.KerasTensor(tensor.shape, tensor.dtype) for tensor in others]
    return structured(part, tensors)


def structured(model: keras.Model, tensors: Sequence[keras.KerasTensor]) -> Any:
    """Flat inputs of a model in the structure that it takes."""
    if isinstance(model, keras.Sequential):
        return tensors[0]
    return keras.tree.pack_sequence_as(model.input, tensors)


def check_sizes(network: "ResizableNetwork") -> None:
    """Refuses scale factors at which a stage or the head cannot run.

    Maps may vanish where convolutions or pooling are not padded, and a layer may take
    maps of one size only. A network whose height and width are not fixed passes.

    Args:
        network: A `ResizableNetwork`.

    Raises:
        ValueError: If a part cannot run on the maps of a configuration that has the
            same scale factor everywhere.
    """
    shape = (2, *network.stem.inputs[0].shape[1:])  # Images must not be mixed.
    if None in shape:
        return
    of_stem = outputs_of(network.stem, inputs_of(network.stem, shape))
    for scale_index, scale in enumerate(network.space.scales):
        features = of_stem
        for part in network.parts[1:]:
            where = "the head"
            if part.stage is not None:
                where = f"stage {part.stage} at scale {scale}"
            size = tuple(features.shape[1:3])
            try:
                _check_size(part.model, features.shape)
                inputs = inputs_of(part.model, features.shape, features.dtype)
                features = outputs_of(part.model, inputs, scale_index)
                _check_positive(features)
            except ValueError as error:
                reason = first_line(error)
                raise ValueError(
                    f"With the scale factor {scale} everywhere, {where} gets maps of "
                    f"{' x '.join(map(str, size))} and cannot run: {reason} Leave out "
                    f"the scale {scale}, take larger images, or replace a layer that "
                    "takes maps of one size."
                ) from error


def output_shapes(
    network: "ResizableNetwork", config: "Configuration"
) -> list[tuple[int | None, ...]]:
    """Shapes of a sub-network's outputs, without the batch, without running it.

    Args:
        network: A `ResizableNetwork` of a fixed input shape.
        config: Its configuration.
    """
    shape = (2, *network.stem.inputs[0].shape[1:])  # Images must not be mixed.
    features = outputs_of(network.stem, inputs_of(network.stem, shape))
    for part in network.parts[1:]:
        inputs = inputs_of(part.model, features.shape, features.dtype)
        features = outputs_of(part.model, inputs, part.scale_index_in(config))
    return [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(features)]


def _check_positive(features):
    for tensor in keras.tree.flatten(features):
        if any(length is not None and length < 1 for length in tensor.shape):
            raise ValueError(f"It would leave maps of {tuple(tensor.shape[1:])}.")


def _check_size(part, shape):
    taken = part.inputs[0].shape
    if any(None not in sizes and len(set(sizes)) > 1 for sizes in zip(taken, shape)):
        raise ValueError(f"It takes {tuple(taken[1:])} only.")


def output_spec(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    """The outputs of a layer or an operation for tensors of some shapes.

    Args:
        operation: A layer or an operation; it is not called.
        *args: Its arguments, with `keras.KerasTensor`s for tensors.
        **kwargs: Likewise.

    Raises:
        ValueError: If it cannot run on them, as it would when called.
    """
    shapes = [
        tuple(leaf.shape)
        for leaf in keras.tree.flatten((args, kwargs))
        if isinstance(leaf, keras.KerasTensor)
    ]
    try:
        _check_channels(operation, args)
        if isinstance(operation, keras.layers.Concatenate):
            _check_joined(operation, shapes)
        return operation.compute_output_spec(*args, **kwargs)
    except Exception as error:  # Whatever a layer of somebody raises.
        raise ValueError(
            f"Layer {operation.name!r}, a {type(operation).__name__}, cannot run on "
            f"{', '.join(map(str, shapes))}: {first_line(error)}"
        ) from error


def _check_channels(layer, args):
    """Refuses what a layer's kernel does not fit, as calling it would."""
    axes = getattr(getattr(layer, "input_spec", None), "axes", None) or {}
    for axis, size in axes.items():
        if args and args[0].shape[axis] not in (None, size):
            raise ValueError(
                f"it takes {size} values on axis {axis}, not {args[0].shape[axis]}."
            )


def _check_joined(layer, shapes):
    """Refuses maps of several sizes, which Keras notices when it runs only."""
    axis = layer.axis % len(shapes[0])
    others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(others) > 1 and not any(None in shape for shape in others):
        raise ValueError("their sizes differ.")
