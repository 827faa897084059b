"""Training that resumes after any interruption."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_resizable.callbacks import StopOnDivergence
from keras_resizable.network import ResizableNetwork
from keras_resizable.training.averaging import KeepWeights
from keras_resizable.training.distribution import (
    agree,
    clear_worker_errors,
    is_chief,
    is_multi_worker,
)
from keras_resizable.training.variables import create_variables
from keras_resizable.utils.arguments import integer
from keras_resizable.utils.files import remove_temporaries
from keras_resizable.workshop.runs.callback_states import continue_logs
from keras_resizable.workshop.runs.checkpoint_callback import Checkpoint
from keras_resizable.workshop.runs.checkpoint_file import saved_step

_LOG = logging.getLogger(__name__)


def fit_resumable(
    model: keras.Model,
    make_dataset: Callable[[int], tf.data.Dataset],
    *,
    steps_per_epoch: int,
    epochs: int,
    folder: str | os.PathLike,
    every_steps: int | None = None,
    monitor: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **fit_options: Any,
) -> list[dict[str, float]]:
    """Trains a model, from the last checkpoint in a folder if there is one.

    A killed and restarted run ends with the same weights as an uninterrupted one if the
    data set is a function of the step and TensorFlow is deterministic
    (`tf.config.experimental.enable_op_determinism`).

    Args:
        model: A `ResizableNetwork`, or any `keras.Model`, compiled.
        make_dataset: Callable from a step to an endless `tf.data.Dataset` that
            starts there, such as `keras_resizable.data.train_dataset` with
            `start_step`.
        steps_per_epoch: Number of steps of an epoch.
        epochs: Number of epochs, including finished ones.
        folder: The folder of the run, for checkpoints, networks and the history.
        every_steps: Number of steps between checkpoints inside an epoch, for a
            `ResizableNetwork`; by default none.
        monitor: Name in the logs of the value to maximize in the best network; by
            default no best network is kept.
        callbacks: Other callbacks. Their logs at the end of an epoch join the history.
            A run stopped by one of them is finished: the same call trains no further.
            After an interruption their attributes are restored, and `CSVLogger` appends
            to its file; a warning names attributes that cannot be saved, such as an
            open file.
        **fit_options: Further arguments of `model.fit`.

    Returns:
        The history: a dictionary of numbers for each epoch.

    Raises:
        FloatingPointError: If the loss diverges.
        ConnectionError: If another worker has stopped.
        ImportError: If the extra `train` is not installed.
        ValueError: If the checkpoint is damaged or of another network, the network
            cannot be saved, or `steps_per_execution` does not divide an epoch.
    """
    integer("epochs", epochs, 1)
    checkpoint = Checkpoint(
        folder,
        steps_per_epoch,
        every_steps=every_steps,
        monitor=monitor,
        callbacks=callbacks,
    )
    strategy = model.distribute_strategy
    if is_chief(strategy):
        remove_temporaries(folder)
    is_default = strategy is tf.distribute.get_strategy()
    if is_default and isinstance(model, ResizableNetwork):
        # Creates the metrics, for the checkpoint to restore. Keras creates them under
        # other strategies.
        create_variables(model, make_dataset(0).element_spec)
    if is_multi_worker(strategy):
        _require_same_step(strategy, folder)
    with strategy.scope():
        checkpoint.restore(model)
    model.stop_training = False
    if checkpoint.step:
        _LOG.info(f"Resuming from step {checkpoint.step} by the checkpoint in {folder}")

    kept = KeepWeights()

    def is_to_go_on():
        return checkpoint.step < epochs * steps_per_epoch and not checkpoint.has_ended

    def fit(first_step, last_epoch, *more):
        epoch, done = divmod(first_step, steps_per_epoch)
        if first_step:
            continue_logs(callbacks, epoch)
        if (steps_per_epoch - done) % model.steps_per_execution:
            raise ValueError(
                f"`steps_per_execution` must divide the {steps_per_epoch - done} "
                "steps of the epoch, or Keras trains more steps. Received: "
                f"steps_per_execution={model.steps_per_execution}"
            )
        model.fit(
            make_dataset(first_step),
            initial_epoch=epoch,
            epochs=last_epoch,
            steps_per_epoch=steps_per_epoch - done,
            shuffle=False,
            callbacks=[StopOnDivergence(), *callbacks, checkpoint, *more],
            **fit_options,
        )

    with clear_worker_errors(
        strategy,
        "Start all workers again by the same commands: they resume from the last "
        f"checkpoint in {folder}.",
    ):
        if not is_to_go_on():
            checkpoint.load_finished(model)
            return checkpoint.history
        if checkpoint.step % steps_per_epoch:
            fit(checkpoint.step, checkpoint.step // steps_per_epoch + 1, kept)
            if is_to_go_on():
                kept.restore()
        if is_to_go_on():
            fit(checkpoint.step, epochs)
        checkpoint.finish(model)
    return checkpoint.history


def _require_same_step(strategy, folder):
    """Raises if workers see different files, before they wait for each other."""
    step = str(saved_step(folder))
    step_of_chief = agree(strategy, step)
    if step_of_chief != step:
        raise ValueError(
            f"The chief resumes from step {step_of_chief}, but this worker would from "
            f"step {step}: all must see the same files in {folder}."
        )


def make_deterministic() -> None:
    """Makes TensorFlow compute the same bits in every run, even if that is slower.

    Call it first, and set a seed: `keras.utils.set_random_seed`.
    """
    tf.config.experimental.enable_op_determinism()
