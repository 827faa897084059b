"""What a device has to be able to do."""

import os
from collections.abc import Sequence
from typing import Any, Protocol


class Device(Protocol):
    """What can measure `.tflite` files, such as `Host` and `Android`.

    Attributes:
        name: What to call it in tables.
        description: The device and how it is used, as text.
    """

    name: str

    @property
    def description(self) -> str: ...

    def measure(
        self, paths: Sequence[str | os.PathLike], threads: int, warmup: int, runs: int
    ) -> list[dict[str, Any]]:
        """Times files, as `Host.measure` does."""
        ...
