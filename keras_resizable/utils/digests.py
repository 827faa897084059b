"""Digests of networks and images, to recognize results of the same ones."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.utils.batches import watched


def digest_of_weights(
    model: keras.Model, without: Mapping[int, Sequence[int] | slice] | None = None
) -> str:
    """A digest of a model's weights; `without` maps a weight's `id` to skipped rows."""
    digest = hashlib.sha256()
    for weight in model.weights:
        values = weight.numpy()
        if without and id(weight) in without:
            values = np.delete(values, without[id(weight)], axis=0)
        digest.update(values.tobytes())
    return digest.hexdigest()


class DataDigest:
    """A digest of batches, added one by one."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, batch: Any) -> None:
        """Adds a batch: tensors in any nested structure."""
        for part in keras.tree.flatten(batch):
            value = part.numpy()  # Bytes if the image is encoded.
            if not isinstance(value, bytes):
                self._digest.update(str(value.shape).encode())
                value = value.tobytes()
            self._digest.update(value)

    def text(self) -> str:
        return self._digest.hexdigest()


def digest_of_data(dataset: tf.data.Dataset | None) -> str:
    """A digest of all batches of a data set in their order, or `"none"`."""
    if dataset is None:
        return "none"
    digest = DataDigest()
    for batch in watched(dataset, "dataset"):
        digest.add(batch)
    return digest.text()
