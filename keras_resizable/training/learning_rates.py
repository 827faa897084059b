"""The learning rate range test."""

import dataclasses
import os

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.subnetworks.cutting import copy_state
from keras_resizable.training.averaging import without_loss_scaling
from keras_resizable.utils.arguments import integer, number
from keras_resizable.utils.batches import (
    Batches,
    check_not_empty,
    image_batches,
    labelled_batches,
)
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

_SMOOTHING = 0.9  # Momentum of the average over losses.
_DIVERGED = 3.0  # Loss over the lowest loss.


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The loss as the learning rate grows from step to step.

    Args:
        rates: Learning rate of each step.
        losses: Moving average of the loss after each step.
        suggested: The suggested learning rate.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggested: float

    def plot(self, path: str | os.PathLike) -> None:
        """Plots the losses over the rates.

        Args:
            path: Path of a `.png` file, which is replaced if it exists.

        Raises:
            ImportError: If the extra `train` is not installed.
        """
        matplotlib = import_extra("matplotlib.figure", "train")
        figure = matplotlib.Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.semilogx(self.rates, self.losses)
        label = f"suggested: {self.suggested:g}"
        axes.axvline(self.suggested, color="gray", label=label)
        axes.set(xlabel="learning rate", ylabel="loss")
        axes.legend()
        axes.grid(alpha=0.3)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=120)


def find_learning_rate(
    network: keras.Model,
    dataset: Batches,
    *,
    steps: int = 100,
    lowest: float = 1e-4,
    highest: float = 10.0,
) -> RangeTest:
    """Suggests a learning rate, by the learning rate range test.

    Smith, 2015, https://arxiv.org/abs/1506.01186: a copy of the network trains while
    its learning rate grows from step to step, until the loss diverges. The suggestion
    is the rate with the lowest moving average of the loss, rounded to one digit. As the
    average lags, this rate is high: use a schedule with a warm-up. The result depends
    on the batch size, sampler and optimizer. Loss weights count as 1. Do not trust the
    suggestion if the loss in the plot hardly falls, or is lowest at the end.

    Args:
        network: A compiled `ResizableNetwork` or another `keras.Model`.
        dataset: `tf.data.Dataset` of batches as in `fit`, which is repeated; or images
            and labels as two arrays, or images alone if a teacher gives the answers.
        steps: Number of steps.
        lowest: Learning rate of the first step.
        highest: Learning rate of the last step.

    Returns:
        A `RangeTest`.

    Raises:
        ValueError: If the network is not compiled, an argument is not valid, or the
            loss is not finite or never lower than at first.

    Example:

    >>> import keras_resizable
    >>> from keras_resizable import data
    >>> network = keras_resizable.ResNet20(input_shape=(28, 28, 1), width=0.25)
    >>> network.compile("sgd", "categorical_crossentropy", split_batch=True)
    >>> batches = data.train_dataset(data.load("sample"), 48)
    >>> result = keras_resizable.find_learning_rate(network, batches)  # doctest: +SKIP
    >>> result.suggested  # doctest: +SKIP
    0.1
    """
    integer("steps", steps, 10)
    number("lowest", lowest, above=0, below=highest)
    if not network.compiled:
        raise ValueError("Compile the network first, as for its training.")
    rising = keras.optimizers.schedules.ExponentialDecay(
        lowest, decay_steps=steps - 1, decay_rate=highest / lowest
    )
    optimizer = without_loss_scaling(network.optimizer)  # `compile` wraps it again.
    settings = {**optimizer.get_config(), "learning_rate": rising}
    losses = _Losses()
    step = getattr(network, "training_step", None)  # Only resizable networks have one.
    names = () if step is None else ("sampler", "distillation", "split_batch")
    options = {name: getattr(step, name) for name in names}
    teacher, loss = None if step is None else network.teacher, network.loss
    if teacher is not None:
        options["distillation"], loss = teacher, None
    if not isinstance(dataset, tf.data.Dataset):
        read = labelled_batches if teacher is None else image_batches
        dataset = read(dataset, network, "dataset")
    check_not_empty(int(dataset.cardinality()), "dataset")
    with network.distribute_strategy.scope():
        copy = type(network).from_config(network.get_config())
        copy_state(network, copy)
        copy.compile(type(optimizer).from_config(settings), loss, **options)
    copy.fit(
        dataset.repeat(),
        steps_per_epoch=steps,
        callbacks=[losses],
        verbose=0,
        shuffle=False,
    )
    values = np.array(losses.averages)
    rates = lowest * (highest / lowest) ** (np.arange(len(values)) / (steps - 1))
    best = int(np.argmin(values)) if len(values) else 0
    if best == 0:
        raise ValueError(
            "The loss never fell below its first value: the network does not "
            f"learn at rates from {lowest:g} to {highest:g}. Losses: {values[:3]}"
        )
    return RangeTest(rates, values, suggested=float(f"{rates[best]:.0e}"))


class _Losses(keras.callbacks.Callback):
    """Moving averages of the loss until it diverges."""

    def __init__(self):
        super().__init__()
        self.averages = []
        self._before = self._average = 0.0

    def on_train_batch_end(self, batch, logs=None):
        total = logs["loss"] * (batch + 1)  # Keras gives the mean of the epoch so far.
        loss, self._before = total - self._before, total
        self._average = _SMOOTHING * self._average + (1 - _SMOOTHING) * loss
        average = self._average / (1 - _SMOOTHING ** (batch + 1))
        limit = _DIVERGED * min(self.averages, default=np.inf)
        if not np.isfinite(average) or average > limit:
            self.model.stop_training = True
        else:
            self.averages.append(average)
