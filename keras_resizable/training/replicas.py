"""What a training step has to do where several replicas share it."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf


def num_replicas() -> int:
    """Number of replicas of the strategy that runs."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def with_an_image(data: Any, num_images: tf.Tensor, synchronized: bool) -> Any:
    """A batch, or a black image if this replica got none of the last images.

    TensorFlow's convolutions on CPUs return an input of no images as it is. What the
    black image does is left out of gradients, statistics and metrics.

    Args:
        data: A batch as Keras's `train_step` gets it.
        num_images: Number of its images.
        synchronized: Whether batch normalisation is; then there have to be images.
    """
    missing = 1 - tf.minimum(num_images, 1)
    if synchronized:
        check = tf.debugging.Assert(
            num_images > 0,
            [
                "With synchronized batch normalisation each replica needs images: "
                "batch the data set with drop_remainder=True."
            ],
        )
        with tf.control_dependencies([check]):
            missing = tf.identity(missing)
    return keras.tree.map_structure(
        lambda part: tf.pad(part, [[0, missing]] + [[0, 0]] * (part.shape.rank - 1)),
        data,
    )


def assign_state(
    state: Sequence[keras.Variable], values: Iterable[tf.Tensor], num_images: tf.Tensor
) -> None:
    """Assigns what layers changed; a replica's batch statistics count by its images.

    Args:
        state: Variables.
        values: Their new values in this replica.
        num_images: Number of images of this replica.
    """
    weight = None
    if num_replicas() > 1:
        # An assignment takes the mean over replicas.
        context = tf.distribute.get_replica_context()
        all_images = context.all_reduce(tf.distribute.ReduceOp.SUM, num_images)
        weight = tf.cast(num_images * num_replicas(), tf.float32)
        weight /= tf.cast(tf.maximum(all_images, 1), tf.float32)
    for variable, value in zip(state, values):
        if weight is not None and variable.aggregation == "mean":
            old = tf.convert_to_tensor(variable)
            weighted = old + (value - old) * tf.cast(weight, value.dtype)
            value = tf.where(weight == 1.0, value, weighted)
        variable.assign(value)
