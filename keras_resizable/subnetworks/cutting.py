"""Cutting sub-networks out."""

import inspect
from typing import Any

import keras

from keras_resizable.layers import HasStockForm, ScaleAwareBatchNorm
from keras_resizable.subnetworks.calibration import tables_of
from keras_resizable.utils.keras_graph import is_graph, layers_of, run_through


class Cut:
    """Rebuilds parts of a network from stock layers, with copies of the weights."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[keras.Operation, keras.Operation]] = {}
        self._forms: dict[tuple[int, int], tuple[HasStockForm, keras.Layer]] = {}
        self._names = {"images", "features"}  # Names of the inputs.

    def part(
        self, part: keras.Model, inputs: keras.KerasTensor, scale_index: int
    ) -> Any:
        """The symbolic outputs of a part's copy, in the structure of `part.output`."""

        def call(layer, *args, **kwargs):
            if isinstance(layer, HasStockForm):
                form = self._form_of(layer, scale_index, part)
                is_layer = isinstance(form, keras.layers.Layer)
                return form(args[0], **(_only_training(kwargs) if is_layer else {}))
            if any(isinstance(inner, HasStockForm) for inner in _with_inner(layer)[1:]):
                return _run_inside(layer, args, kwargs, call)
            return self._copy(layer, part)(*args, **kwargs)

        known = len(self._copies)
        others = [None] * (len(part.inputs) - 1)  # The scale index of a stage.
        outputs = run_through(part, [inputs, *others], call)
        for layer, copy in [*self._copies.values()][known:]:
            copy_state(layer, copy)
        return outputs

    def statistics(self) -> tuple[list[keras.Variable], list[keras.Variable]]:
        """The network's tables of batch statistics, and the copies' matching rows."""
        kind = keras.layers.BatchNormalization
        pairs = []
        for layer, copy in (*self._forms.values(), *self._copies.values()):
            copies = _with_inner(copy)
            # A layer that wraps a user-defined one has no copy itself.
            layers = _with_inner(layer)[-len(copies) :]
            pairs += [pair for pair in zip(layers, copies) if isinstance(pair[1], kind)]
        return tables_of(one for one, _ in pairs), tables_of(copy for _, copy in pairs)

    def _copy(self, layer, part):
        if id(layer) not in self._copies:
            copy = type(layer).from_config(layer.get_config())
            copy.name = self._unused(layer.name, part)
            self._copies[id(layer)] = layer, copy
        return self._copies[id(layer)][1]

    def _form_of(self, layer, scale_index, part):
        """The stock layer for all calls of a layer, or a function for one call."""
        key = id(layer), layer.row_of(scale_index)
        if key not in self._forms:
            form = layer.stock_form(scale_index, self._unused(layer.name, part))
            if not isinstance(form, keras.layers.Layer):
                return form
            self._forms[key] = layer, form
        return self._forms[key][1]

    def _unused(self, name, part):
        candidate, number = name, 1
        while candidate in self._names:
            candidate = f"{part.name}_{name}" + (f"_{number}" if number > 1 else "")
            number += 1
        self._names.add(candidate)
        return candidate


def _run_inside(model, args, kwargs, call):
    """Calls the layers of a model inside a part as if they were the part's own."""
    if not is_graph(model):
        raise ValueError(
            f"Layer {model.name!r}, a {type(model).__name__}, holds layers of "
            "keras_resizable, and cannot be rebuilt from stock layers: only functional "
            "and sequential models can."
        )
    given = _only_training(kwargs)

    def call_inner(inner, *args, **kwargs):
        takes = inspect.signature(inner.call).parameters
        defaults = given if "training" in takes else {}
        return call(inner, *args, **{**defaults, **kwargs})

    return run_through(model, args[0] if len(args) == 1 else args, call_inner)


def copy_state(
    layer: keras.Operation, copy: keras.Operation, scale_index: int = 0
) -> None:
    """Copies the saved state and `trainable` of a layer and of its inner layers."""
    if not isinstance(layer, keras.layers.Layer):
        return
    for old, new in zip(_with_inner(layer), _with_inner(copy), strict=True):
        if type(old) is type(new):
            copy_own_state(old, new)
        elif isinstance(new, ScaleAwareBatchNorm):
            new.set_row_weights(old.get_weights())
        else:
            new.set_weights(old.get_row_weights(scale_index))
        new.trainable = old.trainable


def copy_own_state(layer: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    """Copies what a layer saves to files, without its inner layers."""
    store: dict = {}
    layer.save_own_variables(store)
    copy.load_own_variables(store)


def _with_inner(layer):
    """A layer and all layers in it; an operation that is not a layer has none."""
    return [layer, *layers_of(layer)] if isinstance(layer, keras.Layer) else [layer]


def _only_training(kwargs):
    return {"training": kwargs["training"]} if "training" in kwargs else {}
