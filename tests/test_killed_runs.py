"""Runs in processes of their own that are killed."""

import itertools
import os
import pathlib
import random
import time

import processes
import pytest

SCRIPT = pathlib.Path(__file__).with_name("train_until_done.py")


class Training:
    """A process that trains in a folder."""

    def __init__(self, folder):
        self.output = folder.with_name(f"{folder.name}-{next(_numbers)}.txt")
        self.process = processes.start(
            SCRIPT, folder, folder=folder.parent, output=self.output, errors=os.devnull
        )

    def wait_until_it_trains(self):
        while not self.output.exists() or "trains\n" not in self.output.read_text():
            assert self.process.is_alive(), "It ended before it trained."
            time.sleep(0.001)

    def kill(self):
        self.process.kill()
        self.process.join()

    def wait(self):
        """What it printed."""
        self.process.join()
        return self.output.read_text().split()


_numbers = itertools.count()


def test_a_run_killed_at_any_moment_ends_as_one_that_was_not(tmp_path):
    reference = Training(tmp_path / "reference")
    killed = tmp_path / "killed"
    generator = random.Random(0)
    for _ in range(5):
        training = Training(killed)
        training.wait_until_it_trains()
        time.sleep(generator.uniform(0, 0.4))
        training.kill()
    # Once more, while it writes a checkpoint.
    for _ in range(5):
        training = Training(killed)
        training.wait_until_it_trains()
        while training.process.is_alive() and not any(killed.glob(".temporary-*")):
            pass
        training.kill()
        if any(killed.glob(".temporary-*")):
            break
    else:
        pytest.fail("The run was never caught writing.")
    outputs = [training.wait() for training in (reference, Training(killed))]
    digests = [output[-1] for output in outputs]
    assert len(digests[0]) == 64 and digests[0] == digests[1]
    # It did not train everything again in the end.
    assert outputs[1].count("trains") < outputs[0].count("trains")
    assert not any(killed.glob(".temporary-*"))
    for name in ("history.csv", "history.png"):
        files = [tmp_path / folder / name for folder in ("reference", "killed")]
        assert files[0].read_bytes() == files[1].read_bytes()
