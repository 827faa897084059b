"""Which sub-network runs, for layers that are not called with its scale index."""

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

_scale_index: contextvars.ContextVar = contextvars.ContextVar("scale_index", default=0)


def running_scale_index() -> int | tf.Tensor:
    """The scale index of the stage that runs, scalar int32; 0 outside of stages."""
    return _scale_index.get()


@contextlib.contextmanager
def at_scale(scale_index: tf.Tensor) -> Iterator[None]:
    """Sets the scale index for the layers that are called inside."""
    token = _scale_index.set(scale_index)
    try:
        yield
    finally:
        _scale_index.reset(token)
