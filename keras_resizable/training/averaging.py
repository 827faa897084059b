"""Averages of weights, which Keras's optimizers keep with `use_ema=True`."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Sets a model's weights, but not its statistics, to their averages."""
    if not _keeps_averages(model):
        yield
        return
    before = [weight.numpy() for weight in model.trainable_variables]
    take_averages(model)
    try:
        yield
    finally:
        _assign(model, model.trainable_variables, before)


def take_averages(model: keras.Model) -> None:
    """Replaces weights by their averages, as Keras's `fit` does at its end."""
    if _keeps_averages(model):
        with model.distribute_strategy.scope():
            model.optimizer.finalize_variable_values(model.trainable_variables)


def without_loss_scaling(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """The optimizer inside the wrapper that mixed precision adds."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer
    return optimizer


class KeepWeights(keras.callbacks.Callback):
    """Keeps the weights, which Keras's `fit` or a callback may replace at the end."""

    def on_epoch_end(self, epoch, logs=None):
        self._values = [weight.numpy() for weight in self.model.weights]

    def restore(self) -> None:
        """Restores the weights from the end of the last epoch."""
        _assign(self.model, self.model.weights, self._values)


def _keeps_averages(model):
    optimizer = without_loss_scaling(model.optimizer)
    return optimizer.use_ema and optimizer.built


def _assign(model, weights, values):
    with model.distribute_strategy.scope():
        for weight, value in zip(weights, values):
            weight.assign(value)
