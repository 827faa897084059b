"""Writing the IDX files that tests read."""

import gzip
import struct

import numpy as np


def write_idx(folder, name, values, compress=False):
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(
        f">{values.ndim}I", *values.shape
    )
    content = header + values.tobytes()
    if compress:
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    else:
        (folder / name).write_bytes(content)


def write_random_set(folder, counts, size, contrast=100):
    """A set of training and test images of two kinds, dark and light."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in zip(("train", "t10k"), counts):
        labels = np.arange(count, dtype=np.uint8) % 2
        images = generator.integers(0, 100, (count, size, size), np.uint8)
        images += contrast * labels[:, None, None]
        write_idx(folder, f"{part}-images-idx3-ubyte", images)
        write_idx(folder, f"{part}-labels-idx1-ubyte", labels)
