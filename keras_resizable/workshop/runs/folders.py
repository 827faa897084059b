"""Folders of runs: `runs/<time>-<name>/`, and the link `runs/latest`."""

import datetime
import glob
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import filelock

from keras_resizable.export.standard_metadata import lines_of
from keras_resizable.utils.extras import version_of
from keras_resizable.utils.files import reading, replacing

LATEST = pathlib.Path("runs") / "latest"
# Files in the folder of a run; see `keras_resizable.runs.Run`.
SETTINGS = "recipe.json"
NETWORK = "supernet.keras"
CALIBRATION = "calibration.npz"
EVALUATION = "evaluation.npz"
SUB_NETWORK = "sub_network.keras"
LABELS = "labels.json"  # Names of the classes, a list.
_locks: set[filelock.BaseFileLock] = set()
_VERSIONED = ("tensorflow", "keras", "numpy", "keras-resizable")


def open_run(
    name: str,
    settings: Mapping[str, Any],
    is_complete: Callable[[pathlib.Path], bool],
    *,
    root: str | os.PathLike = "runs",
    new: bool = False,
) -> pathlib.Path:
    """The folder of an interrupted run, or of a new one.

    `latest` points to it. Its `recipe.json` holds the settings, and the versions of
    packages at the start.
    """
    root = pathlib.Path(root)
    folder = None if new else find_run(name, settings, is_complete, root=root)
    if folder is None:
        folder = _create(name, root)
        versions = {package: version_of(package) for package in _VERSIONED}
        with replacing(folder / SETTINGS) as path:
            contents = {**settings, "versions": versions}
            path.write_text(json.dumps(contents, indent=2) + "\n")
    _lock(folder)
    link = root / f".latest-{os.getpid()}"
    link.symlink_to(folder.name)
    os.replace(link, root / "latest")
    return folder


def check_root(root: str | os.PathLike) -> None:
    """Raises a `UnicodeEncodeError` for a folder that TensorFlow cannot write to."""
    os.path.abspath(root).encode()


def find_run(
    name: str,
    settings: Mapping[str, Any],
    is_complete: Callable[[pathlib.Path], bool],
    *,
    root: str | os.PathLike = "runs",
) -> pathlib.Path | None:
    """The folder of the last interrupted run.

    Args:
        name: As in `open_run`.
        settings: As in `open_run`.
        is_complete: As in `open_run`.
        root: Folder of all runs.

    Returns:
        The `pathlib.Path` of the folder; None if there is none.

    Example:

    >>> find_run("resnet20", {"epochs": 1}, lambda folder: False, root="none")
    """
    settings = json.loads(json.dumps(settings))
    folders = pathlib.Path(root).glob(f"*-{glob.escape(name)}*")
    for folder in sorted(folders, reverse=True):
        if _settings(folder) == settings and not is_complete(folder):
            return folder
    return None


def _create(name, root):
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = root / f"{time}-{name}"
    number = 1
    while folder.exists():
        number += 1
        folder = root / f"{time}-{name}-{number}"
    folder.mkdir(parents=True)
    return folder


def _lock(folder):
    """Locks a folder for this process until it ends in any way."""
    lock = filelock.FileLock(folder / ".lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BlockingIOError(
            f"Another process trains in {folder}. Wait for it, or start a new run "
            "(new=True; --new_run on the command line)."
        ) from error
    _locks.add(lock)  # A garbage-collected lock is released.


def _settings(folder):
    try:
        settings = json.loads((folder / SETTINGS).read_text())
    except (OSError, ValueError):
        return None
    settings.pop("versions", None)
    return settings


def count_epochs(folder: pathlib.Path) -> int:
    """The number of epochs in the `history.csv` of a run."""
    try:
        return len((folder / "history.csv").read_text().splitlines()) - 1
    except OSError:
        return 0


def write_labels(names: Iterable[str], folder: str | os.PathLike) -> None:
    """Writes the names of the classes, with any characters, to the folder of a run."""
    with replacing(pathlib.Path(folder) / LABELS) as path:
        path.write_text(json.dumps(list(names), indent=2) + "\n")


def write_label_lines(names: Iterable[str], path: str | os.PathLike) -> None:
    """Writes the names of the classes in order, a line each, for apps."""
    with replacing(path) as temporary:
        temporary.write_text(lines_of(names), encoding="utf-8")


def read_labels(folder: str | os.PathLike) -> list[str] | None:
    """Reads the names of the classes from a file of `write_labels`."""
    path = pathlib.Path(folder) / LABELS
    if not path.exists():
        return None
    with reading(path):
        names = json.loads(path.read_text())
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise ValueError("it holds no list of names")
        return names
