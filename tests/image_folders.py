"""Folders of images that tests read."""

import numpy as np
import tensorflow as tf


def write_random_set(folder, counts, size, contrast=100):
    """A set of training and test images of two kinds, dark and light."""
    generator = np.random.default_rng(0)
    for part, count in zip(("train", "test"), counts):
        labels = np.arange(count) % 2
        images = generator.integers(0, 100, (count, size, size, 3), np.uint8)
        images += (contrast * labels[:, None, None, None]).astype(np.uint8)
        for number, (image, label) in enumerate(zip(images, labels)):
            path = folder / part / str(label) / f"{number:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tf.io.encode_png(image).numpy())
