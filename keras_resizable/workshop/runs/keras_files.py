"""Reading and writing networks as `.keras` files."""

import os
import pathlib
import zipfile

import keras

from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.arguments import with_suffix
from keras_resizable.utils.files import reading, replacing


def save_network(network: keras.Model, path: str | os.PathLike) -> None:
    """Writes a network, complete or not at all.

    Args:
        network: A `ResizableNetwork`, or any `keras.Model`.
        path: Path of a `.keras` file. An existing one is replaced.

    Raises:
        ValueError: If `path` does not end in `.keras`.
        OSError: If the folder cannot be written.
    """
    with replacing(with_suffix(path, ".keras")) as temporary:
        network.save(temporary)


def load_network(path: str | os.PathLike) -> ResizableNetwork:
    """Reads a resizable network from a file of `save_network` or `network.save`.

    Args:
        path: Path of a `.keras` file.

    Returns:
        A `ResizableNetwork`.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedFileError: If the file is damaged, or Keras cannot load it.
        ValueError: If the file holds another model.

    Example:

    >>> import pathlib, tempfile
    >>> import keras_resizable
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "network.keras"
    >>> keras_resizable.ResNet20(scales=(1.0, 0.5)).save(path)
    >>> keras_resizable.load_network(path).space
    SpatialSpace(scales=(1.0, 0.5), num_stages=3)
    """
    network = load_model(path)
    if not isinstance(network, ResizableNetwork):
        raise ValueError(
            f"{path} holds a {type(network).__name__}, not a ResizableNetwork."
        )
    return network


def load_model(path: str | os.PathLike) -> keras.Model:
    """Reads a resizable network or a sub-network from a file of `save_network`."""
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(
            f"No model at {path}. keras-resizable train, or runs.train, makes one."
        )
    with reading(path), zipfile.ZipFile(path):
        return keras.saving.load_model(path)
