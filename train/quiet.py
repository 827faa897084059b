"""Imports TensorFlow without the log of its C++ libraries. Import this first.

The log is about missing GPUs and processor instructions. Errors that end a program also
raise an exception. With --verbosity=1 everything is shown.
"""

import contextlib
import importlib
import os
import signal
import sys
import tempfile

_INTERRUPTED = 130  # 128 and the number of the signal, as shells have it.


@contextlib.contextmanager
def _quiet_stderr():
    """Keeps to itself what is written to the standard error, if all goes well.

    That of C++ too: a part of the log is written before any setting of it counts.
    Gives the descriptor of the standard error itself.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield stderr
        except Exception:
            file.seek(0)
            os.write(stderr, file.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _import_keras():
    """Imports Keras and TensorFlow, which takes seconds.

    Somebody may see meanwhile that a flag is wrong. An exception is no way out, as
    modules that are imported may catch it.
    """
    with _quiet_stderr() as stderr:

        def end(*_):
            os.write(stderr, b"Interrupted before it began.\n")
            os._exit(_INTERRUPTED)

        before = signal.signal(signal.SIGINT, end)
        try:
            importlib.import_module("keras")
        finally:
            signal.signal(signal.SIGINT, before)


if not {"--verbosity=1", "-v=1"} & set(sys.argv):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Only what is fatal.
    if "keras" not in sys.modules:
        _import_keras()
