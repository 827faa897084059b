"""Evaluates sub-networks after each epoch."""

import contextlib
from collections.abc import Mapping

import keras

from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.calibration import (
    batch_norms,
    make_calibrator,
    tables_of,
)
from keras_resizable.training.averaging import averaged
from keras_resizable.utils.batches import Batches


class SubNetworkAccuracy(keras.callbacks.Callback):
    """Evaluates some sub-networks at the end of an epoch.

    The metrics, such as `val_accuracy_smallest`, join the logs of the epoch. If the
    optimizer averages the weights, the averages are evaluated.

    Args:
        dataset: As `validation_data` in Keras's `fit`.
        configs: Configurations by name; by default `"largest"` and `"smallest"`.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
            statistics of each sub-network. The network's own are restored.
    """

    def __init__(
        self,
        dataset: Batches,
        configs: Mapping[str, ConfigLike] | None = None,
        calibrate_with: Batches | None = None,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.configs = configs
        self.calibrate_with = calibrate_with

    def on_train_begin(self, logs=None):
        self._calibrate = make_calibrator(self.model)

    def on_epoch_end(self, epoch, logs=None):
        network = self.model
        space = network.space
        default = {"largest": space.largest, "smallest": space.smallest}
        x, y, weights = keras.utils.unpack_x_y_sample_weight(self.dataset)
        for name, config in (self.configs or default).items():
            with _restoring(network), averaged(network):
                network.check_statistics &= self.calibrate_with is None
                network.config = config
                if self.calibrate_with is not None:
                    with network.distribute_strategy.scope():
                        self._calibrate(self.calibrate_with)
                results = network.evaluate(
                    x, y, sample_weight=weights, verbose=0, return_dict=True
                )
            logs.update({f"val_{key}_{name}": results[key] for key in results})


@contextlib.contextmanager
def _restoring(network):
    """Restores a network's configuration and batch statistics on exit."""
    tables = tables_of(batch_norms(network))
    before = [table.numpy() for table in tables]
    config, check_statistics = network.config, network.check_statistics
    try:
        yield
    finally:
        network.check_statistics = False  # It may be untrained.
        network.config = config
        network.check_statistics = check_statistics
        with network.distribute_strategy.scope():
            for table, value in zip(tables, before):
                table.assign(value)
