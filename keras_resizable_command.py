"""The command `keras-resizable`, which shows its help without TensorFlow."""

import contextlib
import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

COMMANDS = {
    "photos": "from a folder of photos to int8 files for a phone",
    "predict": "classify photos with a .tflite file",
    "train": "train a resizable network, new or from your own model",
    "search": "evaluate all sub-networks, and find the best within limits",
    "finetune": "train one sub-network further",
    "convert": "write sub-networks as .tflite files",
    "benchmark": "measure .tflite files here, on Android or in a browser",
    "export": "write sub-networks as a SavedModel",
    "adapt": "choose a sub-network for each image",
    "compare": "compare two sub-networks on the same images",
    "demo": "all steps, on images that come with the library",
}
_INTERRUPTED = 130  # 128 and the number of the signal, as in shells.


def main() -> None:
    """Runs `keras-resizable`."""
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

    The log reports missing GPUs and processor instructions. Errors that end a program
    also raise an exception. With --verbosity=1 everything is shown.
    """
    if {"--verbosity=1", "-v=1"} & set(sys.argv):
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Fatal messages only.
    if "keras" not in sys.modules:
        _import_keras()


def _import_keras():
    """Imports Keras and TensorFlow; Ctrl-C ends it at once.

    It does not raise an exception, which imported modules might catch.
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
    """Discards the standard error, including C++'s, unless an exception is raised.

    A part of the log is written before its settings take effect. Yields the descriptor
    of the real standard error.
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
