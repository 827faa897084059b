import keras
import numpy as np


class StopOnDivergence(keras.callbacks.Callback):
    """Ends training when the loss of a `ResizableNetwork` is no number any more.

    Raises:
        FloatingPointError: In `fit`, after the first step with a loss that is
            infinite or NaN. It names the step and the sub-network.
    """

    def on_train_begin(self, logs=None):
        self.model.divergence.reset()

    def on_train_batch_end(self, batch, logs=None):
        if np.isfinite(float(logs["loss"])):
            return
        found = self.model.divergence.read(self.model.distribute_strategy)
        if found is None:
            where = "on another worker"
        else:
            step, config = found
            name = self.model.space.format(config)
            where = f"at step {step + 1}, in the sub-network {name!r}"
        raise FloatingPointError(
            f"The loss became infinite or NaN {where}. What was saved before is as "
            "it was. Try a lower learning rate, or a longer warm-up."
        )
