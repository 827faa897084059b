"""The state of a training run, in one file."""

import itertools
import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.training.distribution import is_chief
from keras_resizable.utils.files import read_arrays, replacing

_FILE = "checkpoint.npz"
_PREVIOUS = "checkpoint.previous.npz"
_KEPT_CALLBACKS = (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)


def save_checkpoint(
    model: keras.Model,
    folder: str | os.PathLike,
    state: dict[str, Any],
    arrays: Iterable[np.ndarray] = (),
) -> None:
    """Writes weights, optimizer, metrics and state, whole or not at all.

    An existing file becomes `checkpoint.previous.npz`. On several machines all must
    call it, and the chief writes.

    Args:
        model: A compiled `keras.Model`.
        folder: The folder of the run; the file is `checkpoint.npz`.
        state: What else to keep, such as step and history; JSON must hold it.
        arrays: Further arrays to keep.

    Raises:
        FloatingPointError: If a weight is not a finite number. Nothing is
            written.
        OSError: If the file cannot be written. The one that was there stays.
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
    """Refuses to save weights that are no longer finite.

    Args:
        model: A compiled `keras.Model`.
        folder: The folder of the run, for the message.

    Raises:
        FloatingPointError: If a weight, or a value of the optimizer, is infinite
            or NaN.
    """
    for variable in _variables(model).values():
        value = variable.numpy()
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise FloatingPointError(
                "The weights are not finite numbers any more. What was saved in "
                f"{folder} is as it was. Try a lower learning rate."
            )


def load_checkpoint(
    model: keras.Model, folder: str | os.PathLike
) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]] | None:
    """Reads the last checkpoint, and sets weights and optimizer.

    Args:
        model: A model compiled as the saved one was.
        folder: The folder of the run.

    Returns:
        The state; the values of `model.metrics_variables`, which may not be there yet;
        and the further arrays. None if nothing was saved.

    Raises:
        ValueError: If the file is damaged, or belongs to another model.
    """
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
        raise ValueError(f"{path} is of another network or optimizer.")
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
        path = previous  # Stopped between the two renamings.
    if not path.exists():
        return None
    try:
        values = read_arrays(path)
        state = json.loads(str(values.pop("state")))
    except (KeyError, ValueError) as error:
        other = (
            f"goes on from {previous.name}, the one before"
            if path != previous and previous.exists()
            else "starts anew"
        )
        raise ValueError(
            f"{path} is damaged: {error.__cause__ or error}. Delete it, and the same "
            f"command {other}."
        ) from error
    return path, state, values


def update_state(folder: str | os.PathLike, **changes: Any) -> None:
    """Changes the state of the last checkpoint, and nothing else.

    Args:
        folder: The folder of the run.
        **changes: New values by name; JSON must hold them.

    Raises:
        ValueError: If the file is damaged.
        OSError: If the file cannot be written. The one that was there stays.
    """
    found = _read(folder)
    if found is None:
        return
    _, state, values = found
    with replacing(pathlib.Path(folder) / _FILE) as temporary:
        _write(temporary, state | changes, values)


def saved_step(folder: str | os.PathLike) -> int:
    """The step of the last checkpoint, 0 if there is none; no variable is made.

    Raises:
        ValueError: If the file is damaged.
    """
    found = _read(folder)
    return 0 if found is None else int(found[1]["step"])


# What Keras's callbacks know of the epochs before.
_OF_CALLBACKS = ("best", "best_epoch", "cooldown_counter", "stopped_epoch", "wait")


def states_of_callbacks(
    callbacks: Iterable[keras.callbacks.Callback],
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """What `EarlyStopping` and `ReduceLROnPlateau` know of the epochs before.

    Args:
        callbacks: Callbacks, of any kind.

    Returns:
        A list with a dictionary for each of these callbacks, which JSON can hold, and a
        list of arrays.
    """
    states: list[dict] = []
    arrays: list[np.ndarray] = []
    for callback in filter(_is_kept, callbacks):
        values = {name: getattr(callback, name, None) for name in _OF_CALLBACKS}
        state = {k: float(v) for k, v in values.items() if v is not None}
        weights = getattr(callback, "best_weights", None) or []
        name = type(callback).__name__
        states.append({"class": name, "numbers": state, "weights": len(weights)})
        arrays += map(np.asarray, weights)
    return states, arrays


def _is_kept(callback):
    return isinstance(callback, _KEPT_CALLBACKS)


def restore_callbacks(
    callbacks: Sequence[keras.callbacks.Callback],
    states: Sequence[dict[str, Any]],
    arrays: Iterable[np.ndarray],
) -> None:
    """Gives callbacks back what `states_of_callbacks` returned.

    Raises:
        ValueError: If they are others of these kinds.
    """
    kept = list(filter(_is_kept, callbacks))
    names = [type(callback).__name__ for callback in kept]
    if states and names != [state["class"] for state in states]:
        raise ValueError(
            "A run goes on with the same callbacks of Keras. It had "
            f"{[state['class'] for state in states]}. Received: {names}"
        )
    arrays = iter(arrays)
    for callback, state in zip(kept, states):
        for name, value in state.get("numbers", {}).items():
            setattr(callback, name, value if name == "best" else int(value))
        if state.get("weights"):
            callback.best_weights = list(itertools.islice(arrays, state["weights"]))


def _variables(model):
    """All that training changes, by the same names in every process."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables]
    if isinstance(model, ResizableNetwork):
        variables += model.statistics.variables
    variables += model.optimizer.variables
    return {f"variable{number}": variable for number, variable in enumerate(variables)}
