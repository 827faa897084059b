"""Stops training when the loss is not finite."""

import keras
import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.subnetworks.calibration import batch_norms, tables_of


class StopOnDivergence(keras.callbacks.Callback):
    """Stops training when the loss is no longer finite.

    Raises:
        FloatingPointError: In `fit`, after the first step with a loss that is
            infinite or NaN. It names the step and, for a `ResizableNetwork`, the
            sub-network. Also after an epoch, if batch statistics are.
    """

    def on_train_begin(self, logs=None):
        if isinstance(self.model, ResizableNetwork):
            self.model.divergence.reset()

    def on_train_batch_end(self, batch, logs=None):
        if np.isfinite(float(logs["loss"])):
            return
        raise FloatingPointError(
            f"The loss became infinite or NaN {self._where()}. What was saved before "
            "is as it was. Try a lower learning rate, or a longer warm-up."
        )

    def on_epoch_end(self, epoch, logs=None):
        # Training does not read them, so the loss says nothing of them.
        for table in tables_of(batch_norms(self.model)):
            if not np.isfinite(table.numpy()).all():
                raise FloatingPointError(
                    f"The batch statistics {table.path} became infinite or NaN. Try a "
                    "lower learning rate; or look for images that are, and calibrate: "
                    "keras_resizable.calibrate."
                )

    def _where(self):
        if not isinstance(self.model, ResizableNetwork):
            return f"at step {int(self.model.optimizer.iterations)}"
        found = self.model.divergence.read(self.model.distribute_strategy)
        if found is None:
            return "on another worker"
        step, config = found
        name = str(config)
        return f"at step {step + 1}, in the sub-network {name!r}"
