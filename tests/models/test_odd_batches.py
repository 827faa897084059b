import os
import pathlib
import subprocess
import sys

from narrow_networks import NARROW

ROOT = pathlib.Path(__file__).parents[2]


def test_no_family_dies_of_odd_batches():
    """In a process of its own, which it would take along."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "train_odd_batches.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["wide", *NARROW, "router"]
