"""Packages and downloads that only parts of the library need."""

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator
from types import ModuleType

from keras_resizable.utils.messages import first_line


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports a module; the error names the extra of this library that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This needs {module.split('.')[0]}: pip install 'keras-resizable[{extra}]'"
        ) from error


@contextlib.contextmanager
def fetching(name: str) -> Iterator[None]:
    """Raises an `OSError` instead of Keras's bare `Exception` for failed downloads."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise OSError(
            f"The weights of {name} cannot be fetched: {first_line(error)}. Give "
            "`weights` the path of a file of them, or None to start from nothing."
        ) from error


def version_of(package: str) -> str:
    """The version of a package, or `"not installed"`."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
