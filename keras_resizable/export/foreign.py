"""`.tflite` files that this library did not write, and so cannot vouch for."""

import os
import subprocess
import sys

_SECONDS = 60
_RUN = """
import sys
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1])
interpreter.allocate_tensors()
interpreter.invoke()
"""


def try_apart(path: str | os.PathLike) -> None:
    """Runs a file once in a separate process, as a damaged one may crash or hang.

    Args:
        path: Path of a `.tflite` file.

    Raises:
        ValueError: If that fails, or takes a minute.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(path)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"{path} is damaged or too slow: a run takes more than {_SECONDS} seconds."
        ) from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
        raise ValueError(f"{path} is damaged or not a `.tflite` file: {said[-1]}")
