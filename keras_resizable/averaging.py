"""Averages of weights, which Keras's optimizers keep with `use_ema=True`."""

import contextlib

import keras


@contextlib.contextmanager
def averaged(model):
    """Gives a model the average of its weights for a while, if there is one.

    Batch statistics stay those of the weights themselves: calibrate.

    Args:
        model: A compiled `keras.Model`.
    """
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    if not optimizer.use_ema or not optimizer.built:
        yield
        return
    before = [weight.numpy() for weight in model.trainable_variables]
    with model.distribute_strategy.scope():
        optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        with model.distribute_strategy.scope():
            for weight, value in zip(model.trainable_variables, before):
                weight.assign(value)
