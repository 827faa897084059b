"""Creating the variables of a training step."""

from typing import Any

import keras
import tensorflow as tf


def create_variables(network: keras.Model, batch_spec: Any) -> None:
    """Creates the optimizer's and metrics' variables before Keras starts tracing."""
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)
    images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(batch_spec)
    if network.teacher is not None:
        targets = tf.TensorSpec(network.head.output.shape, tf.float32)  # Its answers.
    if targets is None:
        return
    for spec in keras.tree.flatten((images, targets, sample_weight)):
        is_dense = isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None
        if spec is not None and not is_dense:
            return
    for spec in keras.tree.flatten(targets):
        if spec is not None and None in spec.shape[1:]:
            return  # Keras chooses metrics by the number of classes in the targets.
    arguments = (images, targets, network.head.output, sample_weight)
    network.compute_metrics(*keras.tree.map_structure(_one_of_zeros, arguments))
    network.reset_metrics()


def _one_of_zeros(spec):
    if spec is None:
        return None
    return tf.zeros([1, *(size or 1 for size in spec.shape[1:])], spec.dtype)
