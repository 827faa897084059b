"""The contents of `.tflite` files: adding metadata, and joining several files."""

import collections
import copy
import hashlib
import importlib
import json
import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import flatbuffers
import numpy as np

from keras_resizable.export.standard_metadata import (
    ENTRY,
    LABELS_FILE,
    Described,
    files_in,
    lines_of,
    standard_metadata,
    with_files,
)
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import reading, replacing

_METADATA = "keras_resizable"
_OLDEST_RUNTIME = b"min_runtime_version"
# A file of this library has it in the metadata and in the description.
_MARK = "keras_resizable file"


def with_metadata(content: bytes, metadata: dict[str, Any]) -> bytes:
    """A `.tflite` file with metadata: as JSON, and as TFLite's standard metadata.

    The standard metadata holds what `metadata` says of `name`, `config`, `version`,
    `input_range`, `score_threshold` and `labels`, which are also packed into the file
    as labels.txt.
    """
    model = _unpacked(content)
    _set_metadata(model, metadata)
    (graph,) = model.subgraphs
    labels = metadata.get("labels")
    outputs = [graph.tensors[index] for index in graph.outputs]
    # Two classes of one output have no line each.
    has_labels = labels is not None and len(labels) == outputs[0].shape[-1]
    described = _described(graph, metadata, has_labels)
    if described is not None:
        data = np.frombuffer(standard_metadata(described), np.uint8)
        _set_entry(model, ENTRY.encode(), data)
    return with_files(
        _packed(model), {} if labels is None else {LABELS_FILE: lines_of(labels)}
    )


def _described(graph, metadata, has_labels):
    """What the standard metadata says of a file; None if its input is no image."""
    shapes = [graph.tensors[index].shape for index in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in (1, 3):
        return None
    config = metadata.get("config")
    return Described(
        name=str(metadata.get("name", "")),
        description="" if config is None else f"Sub-network {config}",
        version=str(metadata.get("version", "")),
        channels=int(shapes[0][-1]),
        input_range=metadata.get("input_range"),
        num_outputs=len(graph.outputs),
        has_labels=has_labels,
        score_threshold=metadata.get("score_threshold"),
    )


def with_versions(content: bytes) -> bytes:
    """A `.tflite` file whose operators have the versions that their types need.

    A runtime that is too old for them then rejects the file, rather than computing
    something else. The versions, and the oldest runtime, are TensorFlow's.
    """
    # This private function rewrites a file as the converter does. Only the versions are
    # taken from its result, which loses what other tools added.
    convert = importlib.import_module("tensorflow.lite.python.convert")
    model, written = _unpacked(content), _unpacked(convert.mlir_sparsify(content))
    versions: dict[tuple, int] = {}
    for code in written.operatorCodes:
        key = code.builtinCode, code.customCode
        versions[key] = max(code.version, versions.get(key, 1))
    for code in model.operatorCodes:
        code.version = versions[code.builtinCode, code.customCode]
    _set_entry(model, _OLDEST_RUNTIME, _entry(written, _OLDEST_RUNTIME))
    return _packed(model)


def bundled(
    named_contents: Iterable[tuple[str, bytes]], metadata: dict[str, Any]
) -> bytes:
    """Joins `.tflite` files of one graph each, by its new name, into one.

    Identical contents, such as weights, are stored once. Raises a `ValueError` for a
    file of several graphs.
    """
    schema = _schema()
    bundle = schema.ModelT(
        version=3,
        operatorCodes=[],
        subgraphs=[],
        buffers=[schema.BufferT()],
        metadata=[],
        signatureDefs=[],
    )
    # Positions by content.
    buffers: dict[str, int] = {}
    codes: dict[tuple, int] = {}
    runtimes: list[np.ndarray] = []
    files: dict[str, bytes] = {}
    for name, content in named_contents:
        model = _unpacked(content)
        if len(model.subgraphs) != 1:
            raise ValueError(
                "A file of a bundle must have one graph, without branches or loops. "
                f"{name!r} has {len(model.subgraphs)}."
            )
        (subgraph,) = model.subgraphs
        signature = (model.signatureDefs or [_new_signature(subgraph)])[0]
        for tensor in subgraph.tensors:
            buffer = model.buffers[tensor.buffer]
            tensor.buffer = _add_buffer(bundle, buffer.data, buffers)
        for operator in subgraph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            # Old files have their operators in the deprecated field.
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            key = (number, code.customCode, code.version)
            if key not in codes:
                codes[key] = len(bundle.operatorCodes)
                bundle.operatorCodes.append(code)
            operator.opcodeIndex = codes[key]
        if (runtime := _entry(model, _OLDEST_RUNTIME)) is not None:
            runtimes.append(runtime)
        if not bundle.subgraphs:
            files = files_in(content)
            for entry in model.metadata or []:
                buffer = model.buffers[entry.buffer]
                entry.buffer = _add_buffer(bundle, buffer.data, buffers)
                bundle.metadata.append(entry)
        signature.signatureKey = name
        signature.subgraphIndex = len(bundle.subgraphs)
        subgraph.name = name
        bundle.subgraphs.append(subgraph)
        bundle.signatureDefs.append(signature)
    if runtimes:
        _set_entry(bundle, _OLDEST_RUNTIME, max(runtimes, key=_version_in))
    _set_metadata(bundle, metadata)
    return with_files(_packed(bundle), files)


def with_uint8(content: bytes) -> bytes:
    """An int8 `.tflite` file that takes the bytes of images, and returns bytes.

    Outputs of other types, such as indices, stay as they are.
    """
    model = _unpacked(content)
    (graph,) = model.subgraphs
    schema = _schema()
    number = schema.BuiltinOperator.QUANTIZE
    code = schema.OperatorCodeT(deprecatedBuiltinCode=number, builtinCode=number)
    model.operatorCodes.append(code)
    bytes_of = {}  # The position of a tensor's copy in uint8.
    for index in {*graph.inputs, *graph.outputs}:
        tensor = copy.copy(graph.tensors[index])
        if tensor.type != schema.TensorType.INT8:
            continue
        tensor.type = schema.TensorType.UINT8
        tensor.quantization = copy.copy(tensor.quantization)
        tensor.quantization.zeroPoint = tensor.quantization.zeroPoint + 128
        bytes_of[index] = len(graph.tensors)
        graph.tensors.append(tensor)

    def converted(source, target):
        position = len(model.operatorCodes) - 1
        return schema.OperatorT(position, inputs=[source], outputs=[target])

    graph.operators = [
        *(converted(bytes_of[n], n) for n in graph.inputs if n in bytes_of),
        *graph.operators,
        *(converted(n, bytes_of[n]) for n in graph.outputs if n in bytes_of),
    ]
    graph.inputs = [bytes_of.get(index, index) for index in graph.inputs]
    graph.outputs = [bytes_of.get(index, index) for index in graph.outputs]
    for signature in model.signatureDefs:
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = bytes_of.get(entry.tensorIndex, entry.tensorIndex)
    return _packed(model)


def _new_signature(subgraph):
    """A signature for a graph without one, by the names of its tensors."""
    schema = _schema()
    inputs, outputs = (
        [schema.TensorMapT(subgraph.tensors[index].name, index) for index in indices]
        for indices in (subgraph.inputs, subgraph.outputs)
    )
    return schema.SignatureDefT(inputs, outputs)


def _entry(model, name):
    """The data of a metadata entry; None if there is none."""
    for entry in model.metadata or []:
        if entry.name == name:
            return model.buffers[entry.buffer].data
    return None


def _set_entry(model, name, data):
    model.metadata = model.metadata or []
    for entry in model.metadata:
        if entry.name == name:
            model.buffers[entry.buffer].data = data
            return
    model.metadata.append(_schema().MetadataT(name, len(model.buffers)))
    model.buffers.append(_schema().BufferT(data))


def _version_in(data):
    return [int(number) for number in re.findall(rb"\d+", bytes(data))]


def read_metadata(path: str | os.PathLike) -> dict[str, Any] | None:
    """The metadata of a `.tflite` file of this library.

    Args:
        path: Path of the file.

    Returns:
        The dictionary it was written with; None if this library did not write it.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedFileError: If this library wrote it, and its metadata is damaged.
    """
    content = pathlib.Path(path).read_bytes()
    if _MARK.encode() not in content:
        return None
    with reading(path):
        start = content.index(f'{{"file": "{_MARK}"'.encode())
        metadata = json.loads(content[start : content.index(b"\0", start)])
    del metadata["file"]
    return metadata


def add_metadata(path: str | os.PathLike, metadata: dict[str, Any]) -> None:
    """Adds entries to the metadata of a file of this library, in its place."""
    path = pathlib.Path(path)
    known = read_metadata(path) or {}
    content = with_metadata(path.read_bytes(), known | metadata)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def metadata_of_signature(
    path: str | os.PathLike, signature: str | None = None
) -> dict[str, Any]:
    """The metadata of a file, or of a bundle's signature, the first by default.

    It is empty if this library did not write the file.
    """
    metadata = read_metadata(path) or {}
    signatures = metadata.get("signatures")
    if not isinstance(signatures, dict) or not signatures:
        return metadata
    first = next(iter(signatures))
    return signatures.get(first if signature is None else signature, metadata)


def count_operators(content: bytes) -> collections.Counter[str]:
    """How often a `.tflite` file uses each operator, such as `"CONV_2D"`."""
    builtin = vars(_schema().BuiltinOperator).items()
    names = {number: name for name, number in builtin if name.isupper()}
    model = _unpacked(content)
    return collections.Counter(
        names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        for subgraph in model.subgraphs
        for operator in subgraph.operators
    )


def _add_buffer(model, data, positions):
    """The position of a buffer with this content; 0 is the empty one."""
    if data is None or not len(data):
        return 0
    key = _digest(data)
    if key not in positions:
        positions[key] = len(model.buffers)
        model.buffers.append(_schema().BufferT(data))
    return positions[key]


def _set_metadata(model, metadata):
    # The mark comes first, even if `metadata` has an entry of its name.
    text = json.dumps({"file": _MARK} | metadata | {"file": _MARK})
    # A zero byte, which no JSON contains, ends it.
    data = np.frombuffer(text.encode() + b"\0", np.uint8)
    model.description = f"{_MARK}, see the metadata"
    _set_entry(model, _METADATA.encode(), data)


def _unpacked(content):
    model = _schema().ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.offset:  # The buffer is stored after the others.
            end = buffer.offset + buffer.size
            buffer.data = np.frombuffer(content[buffer.offset : end], np.uint8)
            buffer.offset = buffer.size = 0
    return model


def _packed(model):
    builder = _Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):
    """Writes equal vectors and texts once, and aligns bytes as the schema asks.

    Each channel of int8 weights has a zero point of eight bytes, and all are 0. The
    schema's own Python code aligns nothing.
    """

    def __init__(self, size):
        super().__init__(size)
        self._places = {}

    def StartVector(self, size, count, alignment):
        return super().StartVector(size, count, 16 if size == 1 else alignment)

    def CreateNumpyVector(self, x):
        key = x.dtype, _digest(x.tobytes())
        return self._once(key, super().CreateNumpyVector, x)

    def CreateString(self, s, *args):
        return self._once(s, super().CreateString, s, *args)

    def _once(self, key, write, *args):
        if key not in self._places:
            self._places[key] = write(*args)
        return self._places[key]


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _schema():
    return import_extra("ai_edge_litert.schema_py_generated", "tflite")
