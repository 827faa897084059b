"""How far a job is, and how long the rest will take."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

import keras

_LOG = logging.getLogger(__name__)
# The parts of a job.
MODEL, RESIZABLE, CHOOSING = "model", "resizable", "choosing"
TUNING, FILES_PART = "fine-tuning", "files"
_WORDS = {
    MODEL: "training the model",
    RESIZABLE: "training the resizable network",
    CHOOSING: "choosing a sub-network",
    TUNING: "fine-tuning it",
    FILES_PART: "files and report",
}
_UNTIMED = 0.1  # The cost of a part without steps, relative to all steps.
_EVERY_SECONDS = 0.5


class Part(NamedTuple):
    """A training.

    Args:
        steps: Number of steps, at most.
        flops: Multiply-adds of a step, forwards.
    """

    steps: int
    flops: float


class Progress:
    """Tells how far a job is: a line in a terminal, or in a log a line for each part.

    Args:
        trainings: The trainings of a job by name; the other parts are between them.
    """

    def __init__(self, trainings: Mapping[str, Part]) -> None:
        self._trainings = dict(trainings)
        costs = {name: part.steps * part.flops for name, part in trainings.items()}
        untimed = _UNTIMED * sum(costs.values())
        self._costs = {
            name: costs.get(name, untimed)
            for name in _WORDS
            if name in costs or name not in (MODEL, RESIZABLE, TUNING)
        }
        self._part = ""
        self._steps = 0  # Of the part.
        self._seconds = self._measured = 0.0  # Time and cost of all steps.
        self._told = self._last = time.monotonic()
        self.is_line = sys.stderr.isatty()

    def begin(self, part: str) -> None:
        """Begins a part."""
        self._part, self._steps, self._last = part, 0, time.monotonic()
        if self.is_line:
            sys.stderr.write("\r\033[K")
        _LOG.info(str(self))

    def resume(self, steps: int) -> None:
        """Reports steps of earlier calls, which do not count for the pace."""
        self._steps = max(self._steps, steps)

    def step(self) -> None:
        """Reports a step of a training."""
        now = time.monotonic()
        self._seconds += now - self._last
        self._measured += self._trainings[self._part].flops
        self._last, self._steps = now, self._steps + 1
        if self.is_line and now - self._told > _EVERY_SECONDS:
            self._told = now
            sys.stderr.write(f"\r\033[K{self}")
            sys.stderr.flush()

    def callback(self) -> keras.callbacks.Callback:
        """Reports the steps of `fit`."""
        return _Steps(self)

    def __str__(self) -> str:
        names, total = list(self._costs), sum(self._costs.values())
        number = names.index(self._part)
        done = sum(self._costs[name] for name in names[:number])
        if self._part in self._trainings:
            of_steps = self._steps * self._trainings[self._part].flops
            done += min(of_steps, self._costs[self._part])
        text = f"Part {number + 1} of {len(names)}, {_WORDS[self._part]}: "
        text += f"{100 * done / total:.0f} % of all"
        if self._measured:
            left = (total - done) * self._seconds / self._measured
            text += f", about {_duration(left)} left"
        return text


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class _Steps(keras.callbacks.Callback):
    def __init__(self, progress):
        super().__init__()
        self._progress = progress

    def on_epoch_begin(self, epoch, logs=None):
        self._progress.resume(epoch * (self.params["steps"] or 0))

    def on_train_batch_end(self, batch, logs=None):
        self._progress.step()
