"""Several `.tflite` files in one."""

import os
import pathlib
from collections.abc import Iterable
from typing import Any

from keras_resizable.export.flatbuffer import bundled, read_metadata
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.utils.files import replacing


def to_bundle(
    paths: Iterable[str | os.PathLike], path: str | os.PathLike
) -> dict[str, Any]:
    """Joins several `.tflite` files into one, each as a signature.

    A signature has the name of its file's configuration, such as
    `scale_0.75_0.5_1.0`, or the `signature` of its metadata. Interpreters run the first
    by default. Identical contents are stored once: in int8 or with dynamic ranges, the
    weights of all convolutions, except those whose gamma differs in sign.

    Args:
        paths: Paths of files that `to_tflite` has written with a `config` or a
            `signature` in their metadata, of sub-networks of one network.
        path: Path of the `.tflite` file to write. An existing one is replaced.

    Returns:
        A dictionary: `size_bytes`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If `path` or a file is not valid, two have the same configuration,
            or they are of several networks.
    """
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        raise ValueError(f"A bundle is a `.tflite` file. Received: path={str(path)!r}")
    if isinstance(paths, (str, os.PathLike)):
        raise ValueError(f"`paths` are several. Received: paths={str(paths)!r}")
    signatures: dict[str, dict[str, Any]] = {}
    contents = []
    network = None
    for source in paths:
        metadata = read_metadata(source) or {}
        name = _signature_of(metadata)
        if not name:
            raise ValueError(
                f"{source} is no sub-network of this library: its metadata has no "
                "`config` and no `signature` that are texts."
            )
        if name in signatures:
            raise ValueError(f"{source} has the name of another file's signature.")
        network = network or metadata.get("network")
        if metadata.get("network", network) != network:
            raise ValueError(f"{source} is of another network than the files before.")
        signatures[name] = metadata
        contents.append(pathlib.Path(source).read_bytes())
    if not signatures:
        raise ValueError("A bundle needs at least one file.")
    content = bundled(zip(signatures, contents), {"signatures": signatures})
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        open_tflite(temporary)
    return {"size_bytes": len(content)}


def _signature_of(metadata):
    """The name of a file's signature in a bundle; None if it has none."""
    name = metadata.get("signature")
    if name is None and isinstance(metadata.get("config"), str):
        name = "scale_" + metadata["config"].replace(",", "_")
    return name if isinstance(name, str) else None
