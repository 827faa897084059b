"""Delayed shrinking: other scale factors start from the largest."""

import keras
import numpy as np

from keras_resizable.subnetworks.parts import norms_by_stage


class StartFromLargest(keras.callbacks.Callback):
    """Starts other scale factors from the largest, after delayed shrinking.

    Before an epoch, rows of batch normalisation that were never trained become copies
    of the largest scale factor's; see `SwitchingSampler`. If the optimizer averages the
    weights, the averages follow in later steps.

    Args:
        epoch: The first epoch that trains sub-networks other than the largest, from 0.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self.epoch:
            return
        untrained = self.model.statistics.untrained()
        if not untrained[:, 1:].all():
            return  # The run resumes in the middle of this epoch.
        with self.model.distribute_strategy.scope():
            for stage, norm in norms_by_stage(self.model.parts):
                if norm.num_scales > 1:
                    rows = np.flatnonzero(untrained[stage])
                    norm.set_row_weights(norm.get_row_weights(0), rows)
