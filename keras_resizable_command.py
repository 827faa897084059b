"""The command `keras-resizable`, whose own help imports no TensorFlow."""

import contextlib
import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

COMMANDS = {
    "photos": "from a folder of photos to int8 files for a phone",
    "train": "train a resizable network, also of a model of yours",
    "search": "evaluate its sub-networks, and find the best within limits",
    "finetune": "train one sub-network further",
    "convert": "write sub-networks as .tflite files",
    "benchmark": "measure .tflite files here, on Android or in a browser",
    "export": "write sub-networks as a SavedModel",
    "adapt": "choose a sub-network for each image",
    "compare": "compare two sub-networks on the same images",
    "demo": "all of it, on images that come with the library",
}
_INTERRUPTED = 130  # 128 and the number of the signal, as shells have it.


def main() -> None:
    """What `keras-resizable` runs."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        print("keras-resizable <command> <flags>; <command> --help lists the flags.\n")
        for command, what in COMMANDS.items():
            print(f"  {command:10} {what}")
        return
    if name not in COMMANDS:
        sys.exit(
            f"error: There is no command {name!r}. There are {', '.join(COMMANDS)}."
        )
    sys.argv[:2] = [f"keras-resizable {name}"]
    run(name)


def run(name: str) -> None:
    """Runs a command with the flags of this process.

    Args:
        name: One of `COMMANDS`.
    """
    import_quietly()
    line = importlib.import_module("keras_resizable.workshop.commands.command_line")
    line.run_command(
        importlib.import_module(f"keras_resizable.workshop.commands.{name}")
    )


def import_quietly() -> None:
    """Imports TensorFlow without the log of its C++ libraries.

    The log is about missing GPUs and processor instructions. Errors that end a program
    raise an exception as well. With --verbosity=1 everything is shown.
    """
    if {"--verbosity=1", "-v=1"} & set(sys.argv):
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Only what is fatal.
    if "keras" not in sys.modules:
        _import_keras()


def _import_keras():
    """Imports Keras and TensorFlow, unless a user sees that a flag is wrong.

    An exception is no way out, as modules that are imported may catch it.
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


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[int]:
    """Keeps the standard error to itself, that of C++ too, if all goes well.

    A part of the log is written before any setting of it counts. Gives the descriptor
    of the standard error itself.
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


if __name__ == "__main__":
    main()
