"""What an app must know to choose between the signatures of a bundle, as JSON."""

import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from keras_resizable.utils.files import reading, replacing


def slices_path(bundle: str | os.PathLike) -> pathlib.Path:
    """The path of a bundle's `.slices.json`."""
    return pathlib.Path(bundle).with_suffix(".slices.json")


def write_slices(
    bundle: str | os.PathLike,
    signatures: Mapping[str, Mapping[str, Any]],
    sizes: Mapping[str, int],
) -> None:
    """Writes what the metadata of a bundle's signatures tell, and their files' sizes.

    The file is a list, in the bundle's order, of dictionaries: `signature`; `config`,
    `flops`, `top1` and `agreement` with Keras, None where unknown; `size_bytes`, of a
    file of its own; and `latency_ms`, by device, see `add_results`.
    """
    slices = []
    for name, about in signatures.items():
        accuracy = about.get("accuracy", {})
        slices.append(
            {
                "signature": name,
                "config": about.get("config"),
                "flops": about.get("flops"),
                "top1": accuracy.get("top1"),
                "agreement": accuracy.get("agreement"),
                "size_bytes": sizes[name],
                "latency_ms": {},
            }
        )
    _write(bundle, slices)


def add_results(
    results: Iterable[Mapping[str, Any]], device: str
) -> list[pathlib.Path]:
    """Adds the latencies that `devices.Device.measure` gave; returns changed files."""
    of_files: dict[str, dict[str, float]] = {}
    for result in results:
        of_file = of_files.setdefault(result["path"], {})
        of_file[result["signature"]] = result["median_ms"]
    of_files = {name: of for name, of in of_files.items() if slices_path(name).exists()}
    for name, latencies in of_files.items():
        with reading(slices_path(name)):
            slices = json.loads(slices_path(name).read_text())
            for one in slices:
                if one["signature"] in latencies:
                    one["latency_ms"][device] = latencies[one["signature"]]
        _write(name, slices)
    return list(map(slices_path, of_files))


def _write(bundle, slices):
    with replacing(slices_path(bundle)) as temporary:
        temporary.write_text(json.dumps(slices, indent=2) + "\n")
