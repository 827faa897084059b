"""Stops training when the loss is not finite."""

import keras
import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.subnetworks.calibration import batch_norms, tables_of


class StopOnDivergence(keras.callbacks.Callback):
    """Stops training when the loss is no longer finite.

    Raises:
        FloatingPointError: In `fit`, after the first step with an infinite or NaN
            loss. The message names the step and, for a `ResizableNetwork`, the
            sub-network. Also after an epoch whose batch statistics are not finite.
    """

    def on_train_begin(self, logs=None):
        if isinstance(self.model, ResizableNetwork):
            self.model.divergence.reset()

    def on_train_batch_end(self, batch, logs=None):
        if np.isfinite(float(logs["loss"])):
            return
        raise FloatingPointError(
            f"The loss became infinite or NaN {self._where()}. Files saved before are "
            "unchanged. Try a lower learning rate, or a longer warm-up."
        )

    def on_epoch_end(self, epoch, logs=None):
        # Training does not read batch statistics, so the loss does not show it.
        for table in tables_of(batch_norms(self.model)):
            if not np.isfinite(table.numpy()).all():
                raise FloatingPointError(
                    f"The batch statistics {table.path} became infinite or NaN. Try a "
                    "lower learning rate; or remove images with such values, and use "
                    "keras_resizable.calibrate."
                )

    def _where(self):
        if not isinstance(self.model, ResizableNetwork):
            return f"at step {int(self.model.optimizer.iterations)}"
        found = self.model.divergence.read(self.model.distribute_strategy)
        if found is None:
            return "on another worker"
        step, config = found
        return f"at step {step + 1}, in the sub-network {str(config)!r}"
