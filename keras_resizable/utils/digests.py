"""Digests that tell whether results are of the same network and images."""

import hashlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf


def digest_of_weights(
    model: keras.Model, without: Mapping[int, Sequence[int] | slice] | None = None
) -> str:
    """A digest of a model's weights, as text.

    Args:
        model: A `keras.Model`.
        without: Rows to leave out, by the `id` of a weight.
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        values = weight.numpy()
        if without and id(weight) in without:
            values = np.delete(values, without[id(weight)], axis=0)
        digest.update(values.tobytes())
    return digest.hexdigest()


def digest_of_data(dataset: tf.data.Dataset | None) -> str:
    """A digest of a data set's first batch and number of batches, or `"none"`.

    The number counts where `tf.data` knows it: not of generators.

    One that is shuffled anew is never the same.
    """
    if dataset is None:
        return "none"
    data = hashlib.sha256(str(dataset.cardinality().numpy()).encode())
    for part in keras.tree.flatten(next(iter(dataset.take(1)), ())):
        value = part.numpy()  # Of an encoded image, its bytes.
        data.update(value if isinstance(value, bytes) else value.tobytes())
    return data.hexdigest()
