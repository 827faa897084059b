"""Shapes of features in a network, without running or changing its layers."""

from collections.abc import Callable
from typing import Any

import keras

from keras_resizable.layers import HasStockForm
from keras_resizable.layers.stock_form import Shape
from keras_resizable.utils.keras_graph import is_graph, run_through
from keras_resizable.utils.messages import first_line


def outputs_of(
    part: keras.Model,
    inputs: Any,
    scale_index: int | None = None,
    visit: Callable[..., None] | None = None,
) -> Any:
    """Symbolic outputs for symbolic inputs; `visit` gets each call and its outputs."""

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
    part: keras.Model, shape: Shape, dtype: str | None = None
) -> list[keras.KerasTensor]:
    """Symbolic inputs of a part for a shape of features, by default in its dtype."""
    features, *others = part.inputs
    return [keras.KerasTensor(shape, dtype or features.dtype), *others]


def output_spec(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    """Symbolic outputs of a layer or an operation, without calling it; may raise."""
    shapes = [
        tuple(leaf.shape)
        for leaf in keras.tree.flatten((args, kwargs))
        if isinstance(leaf, keras.KerasTensor)
    ]
    reason, cause = _misfit(operation, args, shapes), None
    if reason is None:
        try:
            return operation.compute_output_spec(*args, **kwargs)
        except Exception as error:  # A user-defined layer may raise any type.
            reason, cause = first_line(error), error
    raise ValueError(
        f"Layer {operation.name!r}, a {type(operation).__name__}, cannot run on "
        f"{', '.join(map(str, shapes))}: {reason}"
    ) from cause


def _misfit(layer, args, shapes):
    """Why inputs do not fit a layer, for errors that Keras raises only at run time."""
    axes = getattr(getattr(layer, "input_spec", None), "axes", None) or {}
    for axis, size in axes.items():
        if args and args[0].shape[axis] not in (None, size):
            return f"it takes {size} values on axis {axis}, not {args[0].shape[axis]}."
    if isinstance(layer, keras.layers.Concatenate):
        axis = layer.axis % len(shapes[0])
        others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
        if len(others) > 1 and not any(None in shape for shape in others):
            return "their sizes differ."
    return None
