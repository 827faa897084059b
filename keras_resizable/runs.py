"""Folders of runs: `runs/<time>-<name>/`, and the link `runs/latest`."""

import datetime
import os
import pathlib

LATEST = pathlib.Path("runs") / "latest"


def create_run(name, root="runs"):
    """Makes the folder of a new run, and points `latest` to it.

    Args:
        name: What is run, part of the folder's name.
        root: Folder of all runs.

    Returns:
        The `pathlib.Path` of the new folder.

    Raises:
        OSError: If `root` cannot be written.
    """
    root = pathlib.Path(root)
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = root / f"{time}-{name}"
    number = 1
    while folder.exists():
        number += 1
        folder = root / f"{time}-{name}-{number}"
    folder.mkdir(parents=True)
    link = root / f".latest-{os.getpid()}"
    link.symlink_to(folder.name)
    os.replace(link, root / "latest")
    return folder
