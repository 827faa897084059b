"""Packages that only parts of the library need."""

import importlib


def import_extra(module, extra):
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
