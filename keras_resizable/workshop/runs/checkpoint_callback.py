"""The callback that saves a run: checkpoints, networks and the history."""

import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.training.averaging import averaged, take_averages
from keras_resizable.training.distribution import is_chief
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.messages import first_line
from keras_resizable.workshop.runs.callback_states import CallbackStates
from keras_resizable.workshop.runs.checkpoint_file import (
    load_checkpoint,
    require_finite,
    save_checkpoint,
    update_state,
)
from keras_resizable.workshop.runs.folders import NETWORK, SUB_NETWORK
from keras_resizable.workshop.runs.history import write_history
from keras_resizable.workshop.runs.keras_files import save_network


class Checkpoint(keras.callbacks.Callback):
    """Saves a run so that it can resume after any interruption.

    At the end of an epoch it writes `supernet.keras`, or `sub_network.keras` for other
    models than a `ResizableNetwork`; `best.keras` if the monitored value is the highest
    so far; `history.csv` and `history.png`; and then `checkpoint.npz`. Networks are
    saved with averaged weights if the optimizer keeps any, and a Keras `Distiller` as
    its student. Before the first step it checks that the network can be saved. See
    `keras_resizable.runs.fit_resumable`.

    Args:
        folder: The folder of the run.
        steps_per_epoch: Number of steps of an epoch.
        every_steps: Number of steps between further checkpoints inside an epoch, for a
            `ResizableNetwork`; by default none. With `steps_per_execution` they are
            written at the next chance.
        monitor: Name in the logs of the value to maximize in the best network; by
            default no best network is kept.
        callbacks: Other callbacks of the run, which come before this one in `fit`.
            Their changing attributes, such as the best value of `ModelCheckpoint` and
            the wait of `EarlyStopping`, are saved, too.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        steps_per_epoch: int,
        *,
        every_steps: int | None = None,
        monitor: str | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__()
        import_extra("matplotlib", "train")  # Fail before the first epoch.
        self.folder = pathlib.Path(folder)
        self.steps_per_epoch = steps_per_epoch
        self.every_steps = every_steps
        self.monitor = monitor
        self.callbacks = list(callbacks)
        self._states = CallbackStates(callbacks)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.has_ended = False
        self.has_finished = False
        self._metrics: list[np.ndarray] = []
        self._of_callbacks: tuple[dict[str, Any], list[np.ndarray]] = {}, []

    def restore(self, model: keras.Model) -> None:
        """Restores a compiled model from the last checkpoint, if any."""
        loaded = load_checkpoint(model, self.folder)
        if loaded is not None:
            state, self._metrics, arrays = loaded
            self._of_callbacks = state["callbacks"], arrays
            self._states.warn_of_lost(state["callbacks"])
            self.step = state["step"]
            self.history = state["history"]
            self.has_ended = state.get("has_ended", False)
            self.has_finished = state.get("has_finished", False)

    def on_train_begin(self, logs=None):
        # Only now have the callbacks reset themselves.
        self._states.restore(*self._of_callbacks)
        if not is_chief(self.model.distribute_strategy):
            return
        network = _saved_of(self.model)
        with tempfile.TemporaryDirectory() as folder:
            try:
                save_network(network, pathlib.Path(folder) / "network.keras")
            except Exception as error:  # Layers may raise any type.
                raise ValueError(
                    "The network could not be saved after training: "
                    f"{first_line(error)} Everything it is built and "
                    "compiled with must be a class or function that Keras can "
                    "serialize."
                ) from error

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self.step
        if self.step % self.steps_per_epoch:
            # Keras resets them at the start of the epoch that is resumed.
            metrics = self.model.metrics_variables
            for variable, value in zip(metrics, self._metrics, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        before, self.step = self.step, self._first_step + batch + 1
        if (
            self.every_steps
            and self.step // self.every_steps > before // self.every_steps
            and self.step % self.steps_per_epoch
        ):
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        require_finite(self.model, self.folder)
        self.has_ended = bool(self.model.stop_training)  # By an earlier callback.
        monitor = self.monitor
        is_best = (
            monitor is not None
            and monitor in logs
            and all(logs[monitor] > row[monitor] for row in self.history)
        )
        self.history.append({"epoch": epoch + 1, **logs})
        if is_chief(self.model.distribute_strategy):
            network = _saved_of(self.model)
            with averaged(self.model):
                if is_best:
                    save_network(network, self.folder / "best.keras")
                save_network(network, self._path_of(network))
            write_history(self.history, self.folder)
        self._save()
        if self.monitor is not None and self.monitor not in logs:
            raise ValueError(
                f"There is no {self.monitor!r} to monitor in {sorted(logs)}."
            )

    def finish(self, model: keras.Model) -> None:
        """Saves the final weights of `fit`, and records that it has ended.

        Callbacks may change weights at the end, as `EarlyStopping` does. The checkpoint
        keeps the weights from which further epochs would start.
        """
        require_finite(model, self.folder)
        if is_chief(model.distribute_strategy):
            network = _saved_of(model)
            save_network(network, self._path_of(network))
            update_state(self.folder, has_finished=True)

    def load_finished(self, model: keras.Model) -> None:
        """Loads the final weights of `fit` into a model.

        If the process was killed before it saved them, they are computed again.
        """
        network = _saved_of(model)
        if self.has_finished:
            with model.distribute_strategy.scope():
                network.load_weights(self._path_of(network))
            return
        take_averages(model)
        self._states.restore(*self._of_callbacks)
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.EarlyStopping):
                callback.set_model(model)
                callback.on_train_end()
        self.finish(model)

    def _path_of(self, network):
        is_super = isinstance(network, ResizableNetwork)
        return self.folder / (NETWORK if is_super else SUB_NETWORK)

    def _save(self):
        self._of_callbacks = of_callbacks, arrays = self._states.read()
        state = {
            "step": self.step,
            "history": self.history,
            "has_ended": self.has_ended,
            "callbacks": of_callbacks,
        }
        save_checkpoint(self.model, self.folder, state, arrays)


def _saved_of(model):
    """The model to save: the student if there is a teacher."""
    return model.student if isinstance(model, keras.distillation.Distiller) else model
