"""Writing files so that an interrupted run leaves no half ones."""

import contextlib
import os
import pathlib
import tempfile

_PREFIX = ".temporary-"


@contextlib.contextmanager
def replacing(path):
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
    descriptor, temporary = tempfile.mkstemp(
        prefix=f"{_PREFIX}{path.stem}-", suffix=path.suffix, dir=path.parent
    )
    os.close(descriptor)
    temporary = pathlib.Path(temporary)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder):
    """Removes what processes left in a folder that were killed while writing."""
    for path in pathlib.Path(folder).glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
