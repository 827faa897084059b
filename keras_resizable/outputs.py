"""What the outputs of a classifier are: probabilities or logits."""

import keras
import tensorflow as tf


def gives_probabilities(model):
    """Whether a model ends in softmax."""
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        return gives_probabilities(last)
    activation = getattr(last, "activation", None)
    return (
        isinstance(last, keras.layers.Softmax)
        or activation is keras.activations.softmax
    )


def to_probabilities(model, outputs):
    """The probabilities of classes, of outputs `(batch, classes)` of a model."""
    outputs = tf.cast(outputs, tf.float32)
    return outputs if gives_probabilities(model) else tf.nn.softmax(outputs)
