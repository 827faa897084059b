"""Trains every family on batches of 1 to 9 images of three sizes, many times."""

import functools
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from narrow_networks import NARROW  # noqa: E402

from keras_resizable import ResNet20  # noqa: E402
from keras_resizable.adapt.router import _make_learner  # noqa: E402

SIZES = (21, 28, 32)
# The kernel that kills did so within 30 calls, of batches of 3 and 5 above all.
TIMES = {count: 6 if count in (3, 5) else 1 for count in range(1, 10)}


def batches(channels=3):
    generator = np.random.default_rng(0)
    for time in range(max(TIMES.values())):
        for size in SIZES:
            for count in (count for count in TIMES if time < TIMES[count]):
                images = generator.random((count, size, size, channels), np.float32)
                yield images, generator.integers(0, 3, count)


def train(model, channels=3):
    spec = (
        tf.TensorSpec((None, None, None, channels)),
        tf.TensorSpec((None,), tf.int64),
    )
    dataset = tf.data.Dataset.from_generator(
        functools.partial(batches, channels), output_signature=spec
    ).apply(tf.data.experimental.assert_cardinality(sum(TIMES.values()) * len(SIZES)))
    # Normalising one image of one pixel makes gradients large.
    model.compile(keras.optimizers.SGD(1e-6), "sparse_categorical_crossentropy")
    history = model.fit(dataset, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"]).all()


def main():
    families = {"wide": functools.partial(ResNet20, width=0.5), **NARROW}
    options = {"scales": (1.0, 0.5), "input_shape": (None, None, 3), "classes": 3}
    for name, make in families.items():
        keras.utils.set_random_seed(0)
        train(make(**options, name=name))
        print(name, flush=True)
    train(_make_learner((None, None, 8), 3), channels=8)
    print("router", flush=True)


if __name__ == "__main__":
    main()
