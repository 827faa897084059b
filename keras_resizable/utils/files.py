"""Writing files so that an interrupted run leaves no half ones."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np

_PREFIX = ".temporary-"


def cache_folder() -> pathlib.Path:
    """The folder for what may be kept between runs, in Keras's own."""
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    if home.startswith("~"):  # A user without a home, as in containers.
        home = os.path.join(tempfile.gettempdir(), ".keras")
    return pathlib.Path(home) / "keras_resizable"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary path that becomes `path` when all went well.

    It is beside `path`, with the same suffix. If anything is raised, it is
    removed, and a file that was at `path` stays as it was.

    Args:
        path: Path of the file to write.

    Raises:
        OSError: If the folder cannot be written.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"Cannot write the file {path}: it is a folder.")
    descriptor, name = tempfile.mkstemp(
        prefix=f"{_PREFIX}{path.stem}-", suffix=path.suffix, dir=path.parent
    )
    os.close(descriptor)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Makes a folder, if there is none, and a file in it for a moment.

    Raises:
        OSError: If it cannot be written.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(prefix=_PREFIX, dir=folder):
        pass


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike, holding: str) -> Iterator[pathlib.Path]:
    """Gives a temporary folder that becomes the folder `path` when all went well.

    If anything is raised, it is removed, and what was at `path` stays as it was.

    Args:
        path: Path of the folder to write.
        holding: Name of a file that a folder at `path` has to hold to be replaced.

    Raises:
        OSError: If the folder cannot be written, or something else is there.
    """
    path = pathlib.Path(path)
    if path.exists() and not (path / holding).exists():
        raise FileExistsError(
            f"Cannot write the folder {path}: there is something else, without a "
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


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged.
    """
    path = pathlib.Path(path)
    with path.open("rb") as file:
        try:
            with np.load(file) as contents:
                return {name: contents[name] for name in contents.files}
        except (
            AttributeError,
            EOFError,
            NotImplementedError,
            OSError,
            TypeError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def remove_temporaries(folder: str | os.PathLike) -> None:
    """Removes what processes left in a folder that were killed while writing."""
    for path in pathlib.Path(folder).glob(f"{_PREFIX}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
