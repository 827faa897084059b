"""What only parts of the library need: packages, and weights that are fetched."""

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator
from types import ModuleType

from keras_resizable.utils.messages import first_line


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports a module, or says which extra of this library installs it.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This needs {module.split('.')[0]}: pip install 'keras-resizable[{extra}]'"
        ) from error


@contextlib.contextmanager
def fetching(name: str) -> Iterator[None]:
    """A context in which Keras may fetch weights.

    Args:
        name: Of what.

    Raises:
        OSError: If they cannot be fetched, for which Keras raises a bare `Exception`.
    """
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
    """The version of an installed package, as text."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
