"""Imports TensorFlow without what its C++ libraries log. To be imported first.

Their log is about graphics cards that are not there and instructions of the processor.
What ends a program comes as an exception too. With --verbosity=1 it is all shown.
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
