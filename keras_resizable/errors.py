"""Errors that programs may want to tell apart.

An argument that is not valid is a plain `ValueError`, as in Keras.
"""

from typing import Any

__all__ = ["DamagedFileError", "DeviceError", "NotWithinLimitsError"]


class NotWithinLimitsError(ValueError):
    """No sub-network is within the limits that were asked for."""


class DamagedFileError(ValueError):
    """A file is incomplete, was changed, or is of another kind."""


class DeviceError(OSError):
    """A device for measuring files is missing or failed.

    Attributes:
        results: The measurements made before the error, as `Device.measure` returns
            them.
    """

    def __init__(
        self, message: str, results: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.results = results or []
