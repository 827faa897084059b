"""Writing files so that an interrupted run leaves no incomplete ones."""

import contextlib
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np

from keras_resizable.errors import DamagedFileError
from keras_resizable.utils.messages import first_line

_PREFIX = ".temporary-"


def cache_folder() -> pathlib.Path:
    """The folder of this library in Keras's cache folder."""
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    if home.startswith("~"):  # The user has no home, as in containers.
        home = os.path.join(tempfile.gettempdir(), ".keras")
    return pathlib.Path(home) / "keras_resizable"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path in the same folder, which becomes `path` on success."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"Cannot write the file {path}: it is a folder.")
    unique = f"{path.stem}-{secrets.token_hex(4)}{path.suffix}"
    temporary = path.with_name(f"{_PREFIX}{unique}")
    temporary.touch(exist_ok=False)  # Fails here if the folder cannot be written.
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Makes a folder if needed; raises an `OSError` if it is not writable."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(prefix=_PREFIX, dir=folder):
        pass


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike, holding: str) -> Iterator[pathlib.Path]:
    """Yields a new folder to become `path`; replaces only one with file `holding`."""
    path = pathlib.Path(path)
    if path.exists() and not (path / holding).exists():
        raise FileExistsError(
            f"Cannot write the folder {path}: it exists with other contents, without a "
            f"{holding}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{_PREFIX}{path.name}-", dir=path.parent
    ) as folder:
        new, old = pathlib.Path(folder, "new"), pathlib.Path(folder, "old")
        new.mkdir()
        yield new
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)


def read_arrays(path: str | os.PathLike, advice: str = "") -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name; a `DamagedFileError` if it is damaged."""
    with reading(path, advice), pathlib.Path(path).open("rb") as file:
        with np.load(file) as contents:
            return {name: contents[name] for name in contents.files}


@contextlib.contextmanager
def reading(path: str | os.PathLike, advice: str = "") -> Iterator[None]:
    """Raises a `DamagedFileError` for any error in a file's contents."""
    try:
        yield
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # NumPy, zipfile and json raise many types.
        is_lacking = isinstance(error, KeyError)
        reason = f"it has no {error}" if is_lacking else first_line(error).rstrip(".")
        message = f"{path} is damaged or of another kind: {reason}. {advice}"
        raise DamagedFileError(message.rstrip()) from error


def remove_temporaries(folder: str | os.PathLike) -> None:
    """Removes the files that killed processes left half-written in a folder."""
    for path in pathlib.Path(folder).glob(f"{_PREFIX}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
