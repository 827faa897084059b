"""Reading and writing networks as `.keras` files."""

import os
import pathlib
import zipfile

import keras

from keras_resizable.network import ResizableNetwork
from keras_resizable.utils.files import replacing
from keras_resizable.utils.messages import first_line


def save_network(network: keras.Model, path: str | os.PathLike) -> None:
    """Writes a network, whole or not at all.

    Args:
        network: A `ResizableNetwork`, or any `keras.Model`.
        path: Path of a `.keras` file. An existing one is replaced.

    Raises:
        ValueError: If `path` does not end in `.keras`.
        OSError: If the folder cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix != ".keras":
        raise ValueError(
            f"A network is saved as a `.keras` file. Received: path={str(path)!r}"
        )
    with replacing(path) as temporary:
        network.save(temporary)


def load_network(path: str | os.PathLike) -> ResizableNetwork:
    """Reads a resizable network that `save_network` or `network.save` has written.

    Args:
        path: Path of a `.keras` file.

    Returns:
        A `ResizableNetwork`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, Keras cannot load it, or it holds something else.

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
    """Reads what `save_network` has written: a resizable network, or a sub-network."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"No network at {path}. keras_resizable.runs.train trains one, and "
            "keras-resizable train."
        )
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Of many types, depending on what is wrong.
        if not zipfile.is_zipfile(path):  # Of which Keras says that it is not there.
            raise ValueError(f"{path} is damaged or not a `.keras` file.") from error
        raise ValueError(
            f"{path} cannot be loaded. Keras says: {first_line(error)}"
        ) from error
