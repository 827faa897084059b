"""Image classification sets in the IDX format of MNIST and its relatives."""

import gzip
import os
import pathlib
import struct
import zlib

import numpy as np

from keras_resizable.data.image_set import Arrays

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def is_idx_folder(folder: str | os.PathLike) -> bool:
    """Whether a folder holds any of the four files."""
    return any(
        pathlib.Path(folder, path).exists()
        for name in _FILES
        for path in (name, f"{name}.gz")
    )


def load_idx(folder: str | os.PathLike) -> tuple[Arrays, Arrays]:
    """Reads a set from a folder that holds the four files of MNIST.

    They are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two
    that start with `t10k`, plain or compressed (`.gz`).

    Args:
        folder: Path of the folder.

    Returns:
        `(x_train, y_train), (x_test, y_test)` as `keras.datasets` has it: uint8
        arrays of shape `(images, height, width)` and `(images,)`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged or something else.
    """
    x_train, y_train, x_test, y_test = (
        _read(pathlib.Path(folder), name) for name in _FILES
    )
    for images, labels in ((x_train, y_train), (x_test, y_test)):
        if len(images) != len(labels):
            raise ValueError(
                f"{folder} holds {len(images)} images with {len(labels)} labels."
            )
    return (x_train, y_train), (x_test, y_test)


def _read(folder, name):
    plain, compressed = folder / name, folder / f"{name}.gz"
    if plain.exists():
        path, data = plain, plain.read_bytes()
    elif compressed.exists():
        path = compressed
        try:
            data = gzip.decompress(compressed.read_bytes())
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
    else:
        raise FileNotFoundError(
            f"No {name} or {name}.gz in {folder.resolve()}. A set in the IDX "
            f"format has {', '.join(_FILES)}."
        )
    rank = int(name.split("idx")[1][0])
    header = 4 + 4 * rank
    # Two zero bytes, 8 for unsigned bytes, the number of axes, their sizes.
    if data[:4] != bytes((0, 0, 8, rank)) or len(data) < header:
        raise ValueError(f"{path} is not an IDX file of {rank} axes of bytes.")
    shape = struct.unpack(f">{rank}I", data[4:header])
    values = np.frombuffer(data, np.uint8, offset=header)
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(
            f"{path} is damaged: it should hold {shape} bytes and holds {values.size}."
        )
    return values.reshape(shape)
