"""How commands end when something goes wrong."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from keras_resizable.workshop.commands import command_line

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a `main`; returns the exit code and the lines of the standard error."""
    monkeypatch.setattr(sys, "argv", ["script.py"])
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    verbosity = logging.get_verbosity()

    def run(main):
        with pytest.raises(SystemExit) as end:
            command_line.run_script(main)
        code = end.value.code
        lines = capsys.readouterr().err.splitlines()
        return (
            (1, [*lines, *code.splitlines()])
            if isinstance(code, str)
            else (
                code,
                lines,
            )
        )

    yield run
    logging.set_verbosity(verbosity)


def decode_text(argv):
    images = tf.data.Dataset.from_tensors(b"no image").map(
        lambda image: tf.ensure_shape(tf.io.decode_jpeg(image, 3), (4, 4, 3))
    )
    next(iter(images))


def evaluate_text(argv):
    """As Keras does it, in a graph."""
    images = tf.data.Dataset.from_tensors(b"no image").map(
        lambda image: (tf.ensure_shape(tf.io.decode_jpeg(image, 3), (4, 4, 3)), 0.0)
    )
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.evaluate(images.batch(1), verbose=0)


def add_unequal(argv):
    tf.constant(np.ones(2)) + tf.constant(np.ones(3))


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        (decode_text, "Unknown image file format"),
        (evaluate_text, "Unknown image file format"),
        (add_unequal, "Incompatible shapes: [2] vs. [3]"),
    ],
)
def test_errors_of_tensorflow_are_one_line(run, main, reason):
    code, (line,) = run(main)
    assert code == 1 and line.startswith("error: ") and reason in line
    assert line.endswith(" (--verbosity=1 shows where.)")
    assert "{{" not in line and "[Op:" not in line and "Graph execution" not in line


def test_errors_of_litert_are_one_line(run):
    def main(argv):
        raise RuntimeError("tensorflow/lite/kernels/conv.cc:1 a != b\nNode 3 failed.")

    code, (line,) = run(main)
    assert code == 1
    assert line.startswith("error: tensorflow/lite/kernels/conv.cc:1 a != b Node 3 fai")


def test_an_interruption_is_one_line(run):
    def main(argv):
        raise KeyboardInterrupt

    line = "Interrupted. The same command resumes from what was saved."
    assert run(main) == (130, [line])


def test_warnings_are_one_line(run):
    def main(argv):
        warning = UserWarning("Left out 1 file.")
        sys.stderr.write(warnings.formatwarning(warning, UserWarning, __file__, 1))
        sys.exit(0)

    assert run(main) == (0, ["warning: Left out 1 file."])


def test_an_interruption_while_it_loads_is_one_line(tmp_path):
    process = subprocess.Popen(
        [sys.executable, ROOT / "train" / "supernet.py"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # Shells without job control have what is in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(1.5)  # To be ready to train, it takes 6 seconds and more.
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith("Interrupted") and error.count("\n") == 1


def test_a_script_says_what_it_says_and_nothing_else(tmp_path):
    """Nothing of C++ without any setting; and --alpha is --width."""
    environment = {
        name: value for name, value in os.environ.items() if "TF_CPP" not in name
    }
    arguments = ("--recipe=sample_mobilenet_v1", "--alpha=0.5", "--dry_run")
    result = subprocess.run(
        [sys.executable, ROOT / "train" / "supernet.py", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["width"].startswith("0.5 ")
