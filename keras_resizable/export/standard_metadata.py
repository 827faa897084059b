"""TFLite's standard metadata, which MediaPipe and Android Studio read.

The schema is TensorFlow's `metadata_schema.fbs`; no package of a runtime contains it.
"""

import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import flatbuffers

ENTRY = "TFLITE_METADATA"  # Its name among the metadata of a file.
LABELS_FILE = "labels.txt"
_IDENTIFIER = b"M001"
_OLDEST_PARSER = "1.0.0"
# Numbers of the schema: of fields, members of unions and values of enumerations.
_NAME, _DESCRIPTION, _VERSION, _SUB_GRAPHS, _MIN_PARSER = 0, 1, 2, 3, 7
_INPUT_TENSORS, _OUTPUT_TENSORS = 2, 3
_CONTENT, _PROCESS_UNITS, _ASSOCIATED_FILES = 3, 4, 6
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_RGB, _GRAYSCALE = 1, 2
_NORMALIZATION, _SCORE_THRESHOLDING = 1, 3
_FILE_TYPE, _AXIS_LABELS = 2, 2
_FIELDS = 10  # No table has more.


class Described(NamedTuple):
    """What the standard metadata says of a file of one image and its outputs.

    Args:
        name: Name of the model.
        description: A line on it.
        version: Version of the program that wrote it.
        channels: 1 or 3, the channels of the image.
        input_range: The input values for pixels 0 and 255; None if unknown.
        num_outputs: Number of outputs.
        has_labels: Whether the first output has a value for each line of labels.txt.
        score_threshold: The probability below which clients give no answer, if any.
    """

    name: str
    description: str
    version: str
    channels: int
    input_range: tuple[float, float] | None
    num_outputs: int
    has_labels: bool
    score_threshold: float | None = None


def standard_metadata(described: Described) -> bytes:
    """The flatbuffer of the standard metadata."""
    write = _Writer()
    outputs = [
        write.output(
            described.has_labels and not number,
            None if number else described.score_threshold,
        )
        for number in range(described.num_outputs)
    ]
    image = write.image(described.channels, described.input_range)
    graph = write.table(
        {
            _INPUT_TENSORS: write.vector([image]),
            _OUTPUT_TENSORS: write.vector(outputs),
        }
    )
    return write.finished(
        {
            _NAME: write.text(described.name),
            _DESCRIPTION: write.text(described.description),
            _VERSION: write.text(described.version),
            _SUB_GRAPHS: write.vector([graph]),
            _MIN_PARSER: write.text(_OLDEST_PARSER),
        }
    )


def lines_of(labels: Iterable[str]) -> str:
    """The content of labels.txt."""
    return "".join(f"{' '.join(label.split())}\n" for label in labels)


def with_files(content: bytes, files: Mapping[str, str | bytes]) -> bytes:
    """A `.tflite` file with small files packed into it, as a zip file at its end."""
    if not files:
        return content
    packed = io.BytesIO(content)
    with zipfile.ZipFile(packed, "a") as archive:
        for name, text in files.items():
            # Without the time, so that equal files have equal bytes.
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


def files_in(content: bytes) -> dict[str, bytes]:
    """The files that are packed into a `.tflite` file."""
    packed = io.BytesIO(content)
    if not zipfile.is_zipfile(packed):
        return {}
    with zipfile.ZipFile(packed) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class _Writer:
    """Writes tables from the inside out, each of them as a dictionary by field."""

    def __init__(self):
        self._builder = flatbuffers.Builder()

    def text(self, text):
        return self._builder.CreateString(text)

    def vector(self, tables):
        return self._vector(tables, 4, self._builder.PrependUOffsetTRelative)

    def floats(self, values):
        return self._vector(values, 4, self._builder.PrependFloat32)

    def _vector(self, values, size, prepend):
        self._builder.StartVector(size, len(values), size)
        for value in reversed(values):
            prepend(value)
        return self._builder.EndVector()

    def table(self, offsets, bytes=()):
        """A table of offsets and single bytes, both by field."""
        self._builder.StartObject(_FIELDS)
        for field, offset in offsets.items():
            self._builder.PrependUOffsetTRelativeSlot(field, offset, 0)
        for field, value in dict(bytes).items():
            self._builder.PrependUint8Slot(field, value, 0)
        return self._builder.EndObject()

    def number(self, value):
        """A table whose only field is a float."""
        self._builder.StartObject(1)
        self._builder.PrependFloat32Slot(0, value, 0.0)
        return self._builder.EndObject()

    def union(self, kind, table):
        """A table whose only content is a union: its member, and its table."""
        return self.table({1: table}, {0: kind})

    def image(self, channels, input_range):
        color_space = _RGB if channels == 3 else _GRAYSCALE
        image = self.table({}, {0: color_space})
        content = self.union(_IMAGE_PROPERTIES, image)
        fields = {_NAME: self.text("image"), _CONTENT: content}
        if input_range is not None:
            low, high = input_range
            std = 255 / (high - low)
            mean = self.floats([-low * std] * channels)
            normalization = self.table({0: mean, 1: self.floats([std] * channels)})
            unit = self.union(_NORMALIZATION, normalization)
            fields[_PROCESS_UNITS] = self.vector([unit])
        return self.table(fields)

    def output(self, has_labels, score_threshold):
        content = self.union(_FEATURE_PROPERTIES, self.table({}))
        fields = {_NAME: self.text("output"), _CONTENT: content}
        if has_labels:
            names = {_NAME: self.text(LABELS_FILE)}
            file = self.table(names, {_FILE_TYPE: _AXIS_LABELS})
            fields[_ASSOCIATED_FILES] = self.vector([file])
        if score_threshold is not None:
            options = self.number(score_threshold)
            unit = self.union(_SCORE_THRESHOLDING, options)
            fields[_PROCESS_UNITS] = self.vector([unit])
        return self.table(fields)

    def finished(self, fields):
        self._builder.Finish(self.table(fields), file_identifier=_IDENTIFIER)
        return bytes(self._builder.Output())
