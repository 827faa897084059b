"""What libraries in C and C++ write to the standard error, past Python."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Sends the standard error of this process away; what fails is raised all the same.

    TensorFlow tells of the folder of each file that it converts, and libjpeg of each
    image that it cannot decode.
    """
    with open(os.devnull, "wb") as nothing:
        errors = os.dup(2)
        try:
            os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(errors, 2)
            os.close(errors)
