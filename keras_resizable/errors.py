"""Errors that programs may want to tell apart.

An argument that is not valid is a plain `ValueError`, as in Keras.
"""

from typing import Any

__all__ = ["DamagedFileError", "DeviceError", "NotWithinLimitsError"]


class NotWithinLimitsError(ValueError):
    """No sub-network is within the limits that were asked for."""


class DamagedFileError(ValueError):
    """A file was cut off or changed, or is not what it should be."""


class DeviceError(OSError):
    """A device that measures files is missing, or does not do what it should.

    Attributes:
        results: What was measured before, as `Device.measure` returns it.
    """

    def __init__(self, message: str, results: list[dict[str, Any]] | None = None):
        super().__init__(message)
        self.results = results or []
