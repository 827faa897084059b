"""Several `.tflite` files in one."""

import os
import pathlib
from collections.abc import Iterable

from keras_resizable.export.flatbuffer import bundled, read_metadata
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.export.tflite_file import TFLiteFile
from keras_resizable.utils.arguments import with_suffix
from keras_resizable.utils.files import replacing


def to_bundle(
    paths: Iterable[str | os.PathLike], path: str | os.PathLike
) -> TFLiteFile:
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
        A `TFLiteFile`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If `path` or a file is not valid, or the files are not from
            different sub-networks of one network.
    """
    path = with_suffix(path, ".tflite")
    sources = list(map(pathlib.Path, paths))
    abouts = [read_metadata(source) or {} for source in sources]
    signatures = dict(zip(map(_signature_of, abouts), abouts))
    networks = {about["network"] for about in abouts if "network" in about}
    are_different = 0 < len(sources) == len(signatures)
    if not are_different or not all(signatures) or len(networks) > 1:
        found = [(_signature_of(about), about.get("network")) for about in abouts]
        raise ValueError(
            "`paths` must be files of different sub-networks of one network, whose "
            "metadata have a `config` or a `signature` that is a text. Received: "
            f"{list(zip(map(str, sources), found))}"
        )
    contents = [source.read_bytes() for source in sources]
    content = bundled(zip(signatures, contents), {"signatures": signatures})
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        open_tflite(temporary)
    return TFLiteFile(path)


def _signature_of(metadata):
    """The name of a file's signature in a bundle; None if it has none."""
    name = metadata.get("signature")
    if name is None and isinstance(metadata.get("config"), str):
        name = "scale_" + metadata["config"].replace(",", "_")
    return name if isinstance(name, str) else None
