"""A `.tflite` file with its metadata and accuracy."""

import collections
import dataclasses
import os
import pathlib
from typing import Any

from keras_resizable.export.accuracy import FileAccuracy
from keras_resizable.export.comparison import OutputComparison
from keras_resizable.export.flatbuffer import count_operators, read_metadata


@dataclasses.dataclass(frozen=True)
class TFLiteFile:
    """A `.tflite` file, accepted wherever a path is.

    Args:
        path: Path of the file.

    Attributes:
        difference: Difference of its outputs from Keras's, see `OutputComparison`, of
            the output where it is largest; None if they were not compared.

    Example:

    >>> from keras_resizable import export
    >>> file = export.TFLiteFile("sub.tflite")
    >>> file.size_bytes, file.config, file.accuracy  # doctest: +SKIP
    (1136192, '0.75,0.5,1.0', FileAccuracy(num_images=1000, top1=0.894, ...))
    """

    path: pathlib.Path
    difference: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", pathlib.Path(self.path))

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata that `to_tflite` wrote; empty for third-party files."""
        return read_metadata(self.path) or {}

    @property
    def config(self) -> str | None:
        """The configuration of its sub-network, as text, if there is one."""
        return self.metadata.get("config")

    @property
    def accuracy(self) -> FileAccuracy | None:
        """Its `FileAccuracy` on `evaluate_with`, if it was evaluated."""
        known = self.metadata.get("accuracy")
        return FileAccuracy(**known) if known else None

    @property
    def comparison(self) -> list[OutputComparison]:
        """Its outputs next to the model's on `evaluate_with`; empty for classifiers."""
        known = self.metadata.get("comparison", [])
        return [OutputComparison(**output) for output in known]

    @property
    def operators(self) -> collections.Counter[str]:
        """How often it uses each operator, such as `"CONV_2D"`."""
        return count_operators(self.path.read_bytes())
