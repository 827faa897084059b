import pathlib

import keras

from keras_resizable.averaging import averaged
from keras_resizable.checkpoint import (
    load_checkpoint,
    require_finite,
    save_checkpoint,
)
from keras_resizable.distribution import is_chief
from keras_resizable.extras import import_extra
from keras_resizable.history import write_history
from keras_resizable.network import ResizableNetwork
from keras_resizable.saving import save_network


class Checkpoint(keras.callbacks.Callback):
    """Keeps a run, so that it can go on after anything that ends it.

    At the end of an epoch it writes `supernet.keras`, or `sub_network.keras` if no
    `ResizableNetwork` is trained, and `best.keras` if what is monitored was never
    higher, both with averages of the weights if the optimizer keeps any; `history.csv`
    and `history.png`; and then `checkpoint.npz`. Of Keras's `Distiller` it writes the
    student. See `keras_resizable.resuming.fit_resumable`.

    Args:
        folder: The folder of the run.
        steps_per_epoch: Number of steps of an epoch.
        every_steps: Number of steps between further checkpoints inside an epoch,
            of a `ResizableNetwork`; none if absent.
        monitor: What is higher in the best network, a name in the logs; if absent,
            no network is kept as the best.

    Raises:
        FloatingPointError: In `fit`, before anything is written, if the weights
            are not finite.
        ImportError: If the extra `train` is not installed.
        ValueError: In `fit`, after the first epoch, if the logs do not have what
            is monitored.
    """

    def __init__(self, folder, steps_per_epoch, every_steps=None, monitor=None):
        super().__init__()
        import_extra("matplotlib", "train")  # Now, and not after the first epoch.
        self.folder = pathlib.Path(folder)
        self.steps_per_epoch = steps_per_epoch
        self.every_steps = every_steps
        self.monitor = monitor
        self.step = 0
        self.history = []
        self._metrics = None

    def restore(self, model):
        """Brings a compiled model to where the last checkpoint was, if any."""
        loaded = load_checkpoint(model, self.folder)
        if loaded is not None:
            state, self._metrics = loaded
            self.step = state["step"]
            self.history = state["history"]

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self.step
        if self.step % self.steps_per_epoch:
            # In the middle of an epoch, at the beginning of which Keras reset them.
            metrics = self.model.metrics_variables
            for variable, value in zip(metrics, self._metrics, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        self.step = self._first_step + batch + 1
        if (
            self.every_steps
            and self.step % self.every_steps == 0
            and self.step % self.steps_per_epoch
        ):
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        require_finite(self.model, self.folder)
        is_best = self.monitor in logs and all(
            logs[self.monitor] > row[self.monitor] for row in self.history
        )
        self.history.append({"epoch": epoch + 1, **logs})
        if is_chief(self.model.distribute_strategy):
            model = self.model
            if isinstance(model, keras.distillation.Distiller):
                model = model.student
            is_super = isinstance(model, ResizableNetwork)
            name = "supernet" if is_super else "sub_network"
            with averaged(self.model):
                if is_best:
                    save_network(model, self.folder / "best.keras")
                save_network(model, self.folder / f"{name}.keras")
            write_history(self.history, self.folder)
        self._save()
        if self.monitor is not None and self.monitor not in logs:
            raise ValueError(
                f"There is no {self.monitor!r} to monitor in {sorted(logs)}."
            )

    def _save(self):
        state = {"step": self.step, "history": self.history}
        save_checkpoint(self.model, self.folder, state)
