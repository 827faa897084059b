"""Sharing a training step among replicas."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_resizable.training.plans import checked
from keras_resizable.utils.keras_graph import layers_of


def num_replicas() -> int:
    """Number of replicas of the current strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The sum of a tensor over the replicas, in the context of a replica."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def is_synchronized(network: keras.Model) -> bool:
    """Whether replicas exchange batch statistics while a sub-network runs."""
    layers = (layer for part in network.parts[1:] for layer in layers_of(part.model))
    return num_replicas() > 1 and any(
        getattr(layer, "synchronized", False) for layer in layers
    )


def with_an_image(data: Any, num_images: tf.Tensor, synchronized: bool) -> Any:
    """The batch, or one black image without effect if this replica got no image."""
    if num_replicas() == 1:
        return data
    # On CPUs, TensorFlow's convolutions return an input without images unchanged.
    missing = 1 - tf.minimum(num_images, 1)
    if synchronized:
        missing = checked(
            missing,
            num_images > 0,
            "With synchronized batch normalisation each replica needs images: "
            "batch the data set with drop_remainder=True.",
        )
    return keras.tree.map_structure(
        lambda part: tf.pad(part, [[0, missing]] + [[0, 0]] * (part.shape.rank - 1)),
        data,
    )


def with_images(
    plan: tf.Tensor, num_images: tf.Tensor, synchronized: bool
) -> tf.Tensor:
    """The largest sub-networks of a plan, as many as a split batch has images."""
    if not synchronized:
        return plan[: tf.maximum(num_images, 1)]
    return checked(
        plan,
        num_images >= tf.shape(plan)[0],
        "With synchronized batch normalisation and a split batch each replica needs "
        "an image for each sub-network of a step: batch the data set with "
        "drop_remainder=True.",
    )


def if_images(num_images: tf.Tensor, function: Callable[[], None]) -> None:
    """Calls a function unless this replica got no image."""
    if num_replicas() == 1:
        function()
    else:
        tf.cond(num_images > 0, function, lambda: None)


def assign_state(
    state: Sequence[keras.Variable], values: Iterable[tf.Tensor], num_images: tf.Tensor
) -> None:
    """Assigns new values, weighting batch statistics by this replica's images."""
    weight = None
    if num_replicas() > 1:
        # An assignment takes the mean over replicas.
        weight = tf.cast(num_images * num_replicas(), tf.float32)
        weight /= tf.cast(tf.maximum(sum_over_replicas(num_images), 1), tf.float32)
    for variable, value in zip(state, values):
        if weight is not None and variable.aggregation == "mean":
            old = tf.convert_to_tensor(variable)
            weighted = old + (value - old) * tf.cast(weight, value.dtype)
            value = tf.where(weight == 1.0, value, weighted)
        variable.assign(value)


def gradients_of_images(
    gradients: Sequence[tf.Tensor], network: keras.Model, num_images: tf.Tensor
) -> Sequence[tf.Tensor]:
    """This replica's gradients; without images, only from regularizers."""
    if num_replicas() == 1:
        return gradients
    weights = network.trainable_variables
    with tf.GradientTape() as tape:
        penalty = tf.zeros(())
        for weight in weights:
            if weight.regularizer is not None:
                of_weight = tf.cast(weight.regularizer(weight), tf.float32)
                penalty += of_weight / num_replicas()
        penalty = network.optimizer.scale_loss(penalty)
    penalties = tape.gradient(
        penalty,
        [weight.value for weight in weights],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [tf.where(num_images > 0, *choices) for choices in zip(gradients, penalties)]
