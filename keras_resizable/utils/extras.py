"""Packages that only parts of the library need."""

import importlib
import importlib.metadata
from types import ModuleType


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


def version_of(package: str) -> str:
    """The version of an installed package, as text."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
