"""Packages and downloads that only parts of the library need."""

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator
from types import ModuleType

from keras_resizable.utils.messages import first_line


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports a module; if it is missing, the error names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This needs {module.split('.')[0]}: pip install 'keras-resizable[{extra}]'"
        ) from error


@contextlib.contextmanager
def fetching(name: str) -> Iterator[None]:
    """Raises an `OSError` for failed downloads, where Keras raises an `Exception`."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise OSError(
            f"The weights of {name} cannot be fetched: {first_line(error)}. Set "
            "`weights` to the path of a file with them, or to None for random ones."
        ) from error


def version_of(package: str) -> str:
    """The version of a package, or `"not installed"`."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
