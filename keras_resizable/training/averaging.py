"""Averages of weights, which Keras's optimizers keep with `use_ema=True`."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Gives a model the average of its weights inside a context, if there is one.

    Batch statistics are still those of the plain weights: calibrate.

    Args:
        model: A compiled `keras.Model`.
    """
    if not _keeps_averages(model):
        yield
        return
    before = [weight.numpy() for weight in model.trainable_variables]
    take_averages(model)
    try:
        yield
    finally:
        with model.distribute_strategy.scope():
            for weight, value in zip(model.trainable_variables, before):
                weight.assign(value)


def take_averages(model: keras.Model) -> None:
    """Replaces weights by their averages, as Keras's `fit` does in the end."""
    if _keeps_averages(model):
        with model.distribute_strategy.scope():
            model.optimizer.finalize_variable_values(model.trainable_variables)


def without_loss_scaling(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """The optimizer that `compile` was given, where mixed precision wraps it."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer
    return optimizer


def _keeps_averages(model):
    optimizer = without_loss_scaling(model.optimizer)
    return optimizer.use_ema and optimizer.built


class KeepWeights(keras.callbacks.Callback):
    """Keeps the weights that Keras's `fit`, or a callback, replaces in the end."""

    def on_epoch_end(self, epoch, logs=None):
        self._values = [weight.numpy() for weight in self.model.weights]

    def restore(self) -> None:
        """Gives the model the weights of the last epoch's end back."""
        with self.model.distribute_strategy.scope():
            for weight, value in zip(self.model.weights, self._values):
                weight.assign(value)
