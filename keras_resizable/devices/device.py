"""The interface of devices."""

import os
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

Paths: TypeAlias = Sequence[str | os.PathLike]
Results: TypeAlias = list[dict[str, Any]]


class Device(Protocol):
    """A device that measures `.tflite` files, such as `Host` and `Android`.

    Attributes:
        name: Name of the device in tables.
        description: The device and how it is used, as text.
    """

    name: str

    @property
    def description(self) -> str: ...

    def measure(self, paths: Paths, threads: int, warmup: int, runs: int) -> Results:
        """Times files, as `Host.measure` does."""
        ...
