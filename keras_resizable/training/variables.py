"""Creating the variables of a training step."""

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork


def create_variables(network: "ResizableNetwork", batch_spec: Any) -> None:
    """Creates the variables of optimizer and metrics ahead of tracing.

    Keras creates them while it traces the training step, and TensorFlow has to
    trace it again for that.

    Args:
        network: A compiled `ResizableNetwork`.
        batch_spec: `tf.TensorSpec`s of a batch, in the structure of the batch.
    """
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)
    images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(batch_spec)
    specs = keras.tree.flatten((images, targets, sample_weight))
    if all(spec is None or _is_dense(spec) for spec in specs):
        for spec in keras.tree.flatten(targets):
            if spec is not None and None in spec.shape[1:]:
                return  # Keras chooses metrics by the classes that targets have.
        network.compute_metrics(
            *keras.tree.map_structure(
                _one_of_zeros, (images, targets, network.head.output, sample_weight)
            )
        )
        network.reset_metrics()


def _is_dense(spec):
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None


def _one_of_zeros(spec):
    if spec is None:
        return None
    return tf.zeros([1, *(size or 1 for size in spec.shape[1:])], spec.dtype)
