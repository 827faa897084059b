"""Which sub-network runs, for the layers that it calls."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf


class RunningSubNetwork(NamedTuple):
    """What layers may know of the sub-network that runs.

    Attributes:
        scale_index: The scale index of the stage, scalar int32.
        is_largest: Whether it is the largest one of a training step, boolean; None
            outside of training steps.
    """

    scale_index: int | tf.Tensor = 0
    is_largest: tf.Tensor | None = None


_NONE = RunningSubNetwork()
_running = contextvars.ContextVar("running", default=_NONE)


def running() -> RunningSubNetwork:
    """The sub-network that runs."""
    return _running.get()


@contextlib.contextmanager
def run_with(**facts: Any) -> Iterator[None]:
    """Sets attributes of the `RunningSubNetwork` for the layers called inside."""
    token = _running.set(_running.get()._replace(**facts))
    try:
        yield
    finally:
        _running.reset(token)
