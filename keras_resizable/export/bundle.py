"""Several `.tflite` files in one."""

import os
import pathlib
from collections.abc import Iterable, Mapping

from keras_resizable.export.flatbuffer import bundled, read_metadata
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.export.slices import write_slices
from keras_resizable.export.tflite_file import TFLiteFile
from keras_resizable.utils.arguments import with_suffix
from keras_resizable.utils.files import replacing


def to_bundle(
    paths: Iterable[str | os.PathLike] | Mapping[str, str | os.PathLike],
    path: str | os.PathLike,
) -> TFLiteFile:
    """Joins several `.tflite` files into one, each as a signature.

    Interpreters run the first signature by default. Identical contents are stored once:
    in int8 or with dynamic ranges, the weights of all convolutions of sub-networks,
    except those whose gamma differs in sign. Next to the bundle, `<name>.slices.json`
    tells an app what it needs to choose: configuration, FLOPs, accuracy and size of
    each signature, and its latency on the devices that it was measured on.

    Args:
        paths: Paths of files that `to_tflite` has written with a `config` or a
            `signature` in their metadata, of sub-networks of one network: signatures
            have names such as `scale_0.75_0.5_1.0`. Or a dictionary from names of
            signatures to `.tflite` files of any origin, such as `{"small": path}`.
        path: Path of the `.tflite` file to write. An existing one is replaced.

    Returns:
        A `TFLiteFile`.

    Raises:
        FileNotFoundError: If a file is missing.
        DamagedFileError: If LiteRT cannot run a file.
        ValueError: If `path` or a file is not valid, a file has several graphs, or
            files without given names are not from different sub-networks of one
            network.

    Example:

    >>> from keras_resizable import export
    >>> files = {"day": "day.tflite", "night": "night.tflite"}
    >>> export.to_bundle(files, "both.tflite")  # doctest: +SKIP
    """
    path = with_suffix(path, ".tflite")
    names = list(paths) if isinstance(paths, Mapping) else None
    sources = list(
        map(pathlib.Path, paths.values() if isinstance(paths, Mapping) else paths)
    )
    abouts = [read_metadata(source) or {} for source in sources]
    signatures = dict(zip(names or map(_signature_of, abouts), abouts))
    networks = {about["network"] for about in abouts if "network" in about}
    are_different = 0 < len(sources) == len(signatures)
    are_of_one = names is not None or len(networks) <= 1
    if not (are_different and all(signatures) and are_of_one):
        found = [(_signature_of(about), about.get("network")) for about in abouts]
        raise ValueError(
            "`paths` must be files of different sub-networks of one network, whose "
            "metadata have a `config` or a `signature` that is a text; or a dictionary "
            "from names to files. Received: "
            f"{list(zip(map(str, sources), found))}"
        )
    for source in sources:
        open_tflite(source)  # Raises if it is damaged.
    contents = [source.read_bytes() for source in sources]
    content = bundled(zip(signatures, contents), {"signatures": signatures})
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        open_tflite(temporary)
    write_slices(path, signatures, dict(zip(signatures, map(len, contents))))
    return TFLiteFile(path)


def _signature_of(metadata):
    """The name of a file's signature in a bundle; None if it has none."""
    name = metadata.get("signature")
    if name is None and isinstance(metadata.get("config"), str):
        name = "scale_" + metadata["config"].replace(",", "_")
    return name if isinstance(name, str) else None
