"""Starts other scale factors from the largest, after delayed shrinking."""

import keras
import numpy as np

from keras_resizable.subnetworks.parts import norms_by_stage


class StartFromLargest(keras.callbacks.Callback):
    """Starts other scale factors from the largest, after delayed shrinking.

    At the beginning of an epoch, rows of batch normalisation that were never trained
    become copies of the largest scale factor's. See `SwitchingSampler`. Averages of
    weights, if the optimizer keeps any, follow in the steps after.

    Args:
        epoch: The first epoch that trains other sub-networks than the largest, from 0.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self.epoch:
            return
        untrained = self.model.statistics.untrained()
        if not untrained[:, 1:].all():
            return  # The run goes on in the middle of this epoch.
        with self.model.distribute_strategy.scope():
            for stage, norm in norms_by_stage(self.model):
                if norm.num_scales > 1:
                    rows = np.flatnonzero(untrained[stage])
                    norm.set_row_weights(norm.get_row_weights(0), rows)
