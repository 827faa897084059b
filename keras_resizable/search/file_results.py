"""Saving measurements of whole `.tflite` files, as JSON and in a lookup table."""

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from keras_resizable.devices import Device
from keras_resizable.devices.names import check_name, printable
from keras_resizable.export.flatbuffer import metadata_of_signature
from keras_resizable.export.slices import add_results
from keras_resizable.export.tflite import QUANTIZE, suffix_of
from keras_resizable.search.query import LATENCY, MEASURED
from keras_resizable.search.table import TABLE, Table
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing


def write_measurements(
    results: Sequence[dict[str, Any]],
    device: Device,
    *,
    threads: int,
    warmup: int,
    runs: int,
) -> list[pathlib.Path]:
    """Writes the results of `device.measure` for whole `.tflite` files.

    They go into `benchmark_<device>.json` next to the first file, and into the
    `.slices.json` of a bundle. If a lookup table is next to the first file, it gets the
    latencies of its network's sub-networks, as `latency_ms_<device>`, or for quantized
    files `latency_ms_<device>_int8` and so on. Returns the paths of the written files.
    """
    check_name(device.name)
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
    written = [path, *add_results(results, device.name)]
    if not (folder / TABLE).exists():
        return written
    table = Table.load(folder / TABLE)
    network = table.origin.get("network")
    rows: dict[str, dict[str, Any]] = {}
    for result in results:
        of = metadata_of(result)
        config = str(of.get("config"))
        if of.get("network") != network or config not in table:
            continue
        quantize = of.get("quantize", "none")
        name = device.name + suffix_of(quantize, of.get("io", "int8"))
        rows.setdefault(config, {"config": config}).update(
            {
                LATENCY + name: result["median_ms"],
                MEASURED + name: f"{device.description}, {threads} threads, "
                f"{warmup} + {runs} runs, whole, "
                f"{'float32' if quantize == 'none' else quantize}",
            }
        )
    if not rows:
        return written
    pandas = import_extra("pandas", "search")
    table.merge(Table(pandas.DataFrame([*rows.values()]))).save(folder / TABLE)
    return [*written, folder / TABLE]


def result_name(result: dict[str, Any]) -> str:
    """The name of a measured file, and its signature if it has several."""
    name = pathlib.Path(result["path"]).name
    if result["signature"]:
        name += f":{result['signature']}"
    return printable(name)


def metadata_of(result: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a measured file or signature.

    It is empty unless this library wrote the file and the metadata is valid: it names
    columns and is printed.
    """
    metadata = metadata_of_signature(result["path"], result["signature"])
    if not isinstance(metadata, dict):
        return {}
    config = metadata.get("config", "1.0")
    is_config = isinstance(config, str) and re.fullmatch(r"[0-9.,]+", config)
    is_ours = is_config and metadata.get("quantize", "none") in QUANTIZE
    return metadata if is_ours else {}
