"""The state of a training run, in one file."""

import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.training.distribution import is_chief
from keras_resizable.utils.files import read_arrays, reading, replacing

_FILE = "checkpoint.npz"
_PREVIOUS = "checkpoint.previous.npz"


def save_checkpoint(
    model: keras.Model,
    folder: str | os.PathLike,
    state: dict[str, Any],
    arrays: Iterable[np.ndarray] = (),
) -> None:
    """Writes weights, optimizer, metrics and state, complete or not at all.

    An existing file becomes `checkpoint.previous.npz`. On several machines, all must
    call this and the chief writes.
    """
    path = pathlib.Path(folder) / _FILE
    require_finite(model, folder)
    values = {name: value.numpy() for name, value in _variables(model).items()}
    for number, variable in enumerate(model.metrics_variables):
        values[f"metric{number}"] = variable.numpy()
    values |= {f"array{number}": array for number, array in enumerate(arrays)}
    if not is_chief(model.distribute_strategy):
        return
    with replacing(path) as temporary:
        _write(temporary, state, values)
        if path.exists():
            os.replace(path, path.with_name(_PREVIOUS))


def require_finite(model: keras.Model, folder: str | os.PathLike) -> None:
    """Raises if weights are no longer finite."""
    for variable in _variables(model).values():
        value = variable.numpy()
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise FloatingPointError(
                "The weights are no longer finite. Files saved before in "
                f"{folder} are unchanged. Try a lower learning rate."
            )


def load_checkpoint(
    model: keras.Model, folder: str | os.PathLike
) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]] | None:
    """Reads the last checkpoint, and restores weights and optimizer."""
    found = _read(folder)
    if found is None:
        return None
    path, state, values = found
    metrics, arrays = (
        [
            values.pop(f"{kind}{number}")
            for number in range(sum(name.startswith(kind) for name in values))
        ]
        for kind in ("metric", "array")
    )
    variables = _variables(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: value.shape for name, value in values.items()}:
        raise ValueError(f"{path} is for another network or optimizer.")
    for name, variable in variables.items():
        variable.assign(values[name])
    return state, metrics, arrays


def _write(path: pathlib.Path, state: dict[str, Any], values: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **{"state": np.array(json.dumps(state)), **values})


def _read(
    folder: str | os.PathLike,
) -> tuple[pathlib.Path, dict[str, Any], dict[str, np.ndarray]] | None:
    """Path, state and other values of the last checkpoint, if there is one."""
    path = pathlib.Path(folder) / _FILE
    previous = path.with_name(_PREVIOUS)
    if not path.exists():
        path = previous  # It was killed between the two renamings.
    if not path.exists():
        return None
    has_other = path != previous and previous.exists()
    other = f"resumes from {previous.name}" if has_other else "starts again"
    advice = f"Delete it, and the same command {other}."
    values = read_arrays(path, advice)
    with reading(path, advice):
        return path, json.loads(str(values.pop("state"))), values


def update_state(folder: str | os.PathLike, **changes: Any) -> None:
    """Changes only the state in the last checkpoint."""
    found = _read(folder)
    if found is None:
        return
    _, state, values = found
    with replacing(pathlib.Path(folder) / _FILE) as temporary:
        _write(temporary, state | changes, values)


def saved_step(folder: str | os.PathLike) -> int:
    """The step of the last checkpoint, 0 if there is none; creates no variables."""
    found = _read(folder)
    return 0 if found is None else int(found[1]["step"])


def _variables(model):
    """All variables that training changes, by the same names in every process."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables]
    if isinstance(model, ResizableNetwork):
        variables += model.statistics.variables
    variables += model.optimizer.variables
    return {f"variable{number}": variable for number, variable in enumerate(variables)}
