"""Digests that tell whether results are of the same network and images."""

import hashlib

import keras
import tensorflow as tf


def digest_of_weights(model: keras.Model) -> str:
    """A digest of a model's weights, as text."""
    weights = hashlib.sha256()
    for weight in model.weights:
        weights.update(weight.numpy().tobytes())
    return weights.hexdigest()


def digest_of_data(dataset: tf.data.Dataset | None) -> str:
    """A digest of a data set's first batch and number of batches, or `"none"`.

    The number counts where `tf.data` knows it: not of generators.

    One that is shuffled anew is never the same.
    """
    if dataset is None:
        return "none"
    data = hashlib.sha256(str(dataset.cardinality().numpy()).encode())
    for part in keras.tree.flatten(next(iter(dataset.take(1)), ())):
        data.update(part.numpy().tobytes())
    return data.hexdigest()
