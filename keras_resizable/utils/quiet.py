"""Silencing C and C++ libraries, which bypass Python's standard error."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Discards the standard error of this process; exceptions are still raised."""
    with open(os.devnull, "wb") as nothing:
        errors = os.dup(2)
        try:
            os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(errors, 2)
            os.close(errors)
