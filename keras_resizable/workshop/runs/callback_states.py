"""Saving the state of callbacks over an interruption."""

import collections
import contextlib
import json
import pathlib
import pickle
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Attributes that belong to the process, not to the run.
_OF_PROCESS = {"_model", "model", "params", "validation_data"}


class CallbackStates:
    """The states of callbacks: the attributes that change while they are used.

    Numbers, texts and arrays can be saved, and lists and dictionaries of these.

    Args:
        callbacks: Callbacks, before they are used.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        if any(isinstance(c, keras.callbacks.BackupAndRestore) for c in callbacks):
            raise ValueError(
                "A resumable run restores its own checkpoints: leave out "
                "keras.callbacks.BackupAndRestore."
            )
        counts: collections.Counter[str] = collections.Counter()
        self._callbacks: dict[str, keras.callbacks.Callback] = {}
        for callback in callbacks:
            kind = type(callback).__name__
            self._callbacks[f"{kind} {counts[kind]}"] = callback
            counts[kind] += 1
        self._before = {
            name: dict(vars(callback)) for name, callback in self._callbacks.items()
        }
        self._initial = {
            name: _encoded_attributes(callback)
            for name, callback in self._callbacks.items()
        }

    def read(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The states in a form for JSON, by callback, and the arrays in them."""
        states: dict[str, Any] = {}
        arrays: list[np.ndarray] = []
        for name, callback in self._callbacks.items():
            values = _encoded_attributes(callback)
            changed = {
                key: _encoded(getattr(callback, key), arrays)
                for key, value in values.items()
                if value != self._initial[name].get(key)
            }
            states[name] = {"values": changed, "lost": self._lost(name, values)}
        return states, arrays

    def _lost(self, name, values):
        """Names of changed attributes that cannot be saved."""
        before, now = self._before[name], vars(self._callbacks[name])
        return [
            key
            for key, value in now.items()
            if key not in (*values, *_OF_PROCESS)
            and not callable(value)  # A setting.
            and before.get(key) is not value
        ]

    def restore(self, states: dict[str, Any], arrays: Sequence[np.ndarray]) -> None:
        """Restores the states from `read`; callbacks without one start fresh."""
        for name, callback in self._callbacks.items():
            state = states.get(name, {"values": {}})
            for key, value in state["values"].items():
                setattr(callback, key, _decoded(value, arrays))

    def warn_of_lost(self, states: dict[str, Any]) -> None:
        """Warns of state that could not be saved in callbacks other than Keras's."""
        for name, callback in self._callbacks.items():
            lost = states.get(name, {}).get("lost", [])
            if lost and not type(callback).__module__.startswith("keras."):
                warnings.warn(
                    f"A resumed run starts with a fresh {type(callback).__name__}: its "
                    f"{', '.join(lost)} cannot be saved.",
                    stacklevel=2,
                )


def continue_logs(
    callbacks: Sequence[keras.callbacks.Callback], num_epochs: int
) -> None:
    """Makes each `CSVLogger` append to its file, keeping only finished epochs."""
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.CSVLogger):
            continue
        path = pathlib.Path(callback.filename)
        if path.exists():
            header, *rows = path.read_text().splitlines(keepends=True) or [""]
            done = {str(epoch) for epoch in range(num_epochs)}
            rows = [row for row in rows if row.split(callback.sep)[0] in done]
            path.write_text(header + "".join(rows))
        callback.append = True


def _encoded_attributes(callback):
    """The attributes that can be saved, as texts and bytes to compare."""
    values = {}
    for key, value in vars(callback).items():
        if key not in _OF_PROCESS:
            arrays: list[np.ndarray] = []
            with contextlib.suppress(TypeError):
                text = json.dumps(_encoded(value, arrays))
                values[key] = text, [pickle.dumps(array) for array in arrays]
    return values


def _encoded(value, arrays):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) or tf.is_tensor(value):
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, (list, tuple)):
        return [_encoded(item, arrays) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"set": [_encoded(item, arrays) for item in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _encoded(item, arrays) for key, item in value.items()}}
    raise TypeError(value)


def _decoded(value, arrays):
    if isinstance(value, list):
        return [_decoded(item, arrays) for item in value]
    if isinstance(value, dict) and "array" in value:
        return arrays[value["array"]]
    if isinstance(value, dict) and "set" in value:
        return {_decoded(item, arrays) for item in value["set"]}
    if isinstance(value, dict):
        return {key: _decoded(item, arrays) for key, item in value["dict"].items()}
    return value
