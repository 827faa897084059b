"""Latencies of whole files, measured on a device, and how they join the table."""

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from keras_resizable.devices import Device
from keras_resizable.devices.names import check_name, printable
from keras_resizable.export.flatbuffer import metadata_of_signature
from keras_resizable.export.tflite import QUANTIZE, suffix_of
from keras_resizable.search.samples import SAMPLES, load_samples
from keras_resizable.search.table import (
    LATENCY,
    MEASURED,
    TABLE,
    read_table,
    write_table,
)
from keras_resizable.utils.files import replacing


def write_measurements(
    results: Sequence[dict[str, Any]],
    device: Device,
    *,
    threads: int,
    warmup: int,
    runs: int,
) -> list[pathlib.Path]:
    """Writes what a device measured of whole `.tflite` files.

    Everything goes into `benchmark_<device>.json` beside the first file. If a lookup
    table is there too, the latencies of those files that are sub-networks of its
    network join it, as `latency_ms_<device>`, or `latency_ms_<device>_int8` and so on
    if they are quantized.

    Args:
        results: What `device.measure` returned.
        device: A device.
        threads: As in `device.measure`.
        warmup: As in `device.measure`.
        runs: As in `device.measure`.

    Returns:
        A list of the paths of the files that were written.

    Raises:
        ValueError: If there are no results, the device's name is not valid, or the
            table is damaged.
        ImportError: If the extra `search` is not installed.
    """
    check_name(device.name)
    if not results:
        raise ValueError("There are no results to write.")
    folder = pathlib.Path(results[0]["path"]).parent
    path = folder / f"benchmark_{device.name}.json"
    contents = {
        "device": device.name,
        "description": device.description,
        "threads": threads,
        "warmup": warmup,
        "runs": runs,
        "results": results,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(contents, indent=2) + "\n")
    if not all((folder / name).exists() for name in (TABLE, SAMPLES)):
        return [path]
    table = read_table(folder / TABLE).set_index("config")
    network = load_samples(folder / SAMPLES).origin.get("network")
    joined = False
    for result in results:
        of = metadata_of(result)
        config = of.get("config")
        if of.get("network") != network or config not in table.index:
            continue
        quantize = of.get("quantize", "none")
        name = device.name + suffix_of(quantize, of.get("io", "int8"))
        table.loc[config, LATENCY + name] = result["median_ms"]
        table.loc[config, MEASURED + name] = (
            f"{device.description}, {threads} threads, {warmup} + {runs} runs, whole, "
            f"{'float32' if quantize == 'none' else quantize}"
        )
        joined = True
    if not joined:
        return [path]
    write_table(table.reset_index(), folder / TABLE)
    return [path, folder / TABLE]


def result_name(result: dict[str, Any]) -> str:
    """What a measured file is called: its name, and its signature if it has several."""
    name = pathlib.Path(result["path"]).name
    if result["signature"]:
        name += f":{result['signature']}"
    return printable(name)


def metadata_of(result: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a measured file, or of the signature of it.

    Args:
        result: One of what `device.measure` returned.

    Returns:
        A dictionary, empty if the file is not of this library, or says of itself what
        none of this library does.
    """
    metadata = metadata_of_signature(result["path"], result["signature"])
    return metadata if _is_ours(metadata) else {}


def _is_ours(metadata):
    """Whether metadata is that of this library: it names columns, and is printed."""
    if not isinstance(metadata, dict):
        return False
    config = metadata.get("config", "1.0")
    return (
        isinstance(config, str)
        and re.fullmatch(r"[0-9.,]+", config) is not None
        and metadata.get("quantize", "none") in QUANTIZE
    )
