"""Latencies of sub-networks: sums over their pieces, or of whole files."""

import json
import os
import pathlib
import re
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_resizable.devices import Device
from keras_resizable.devices.names import check_name, printable
from keras_resizable.export.flatbuffer import metadata_of_signature
from keras_resizable.export.tflite import QUANTIZE, convert, suffix_of
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.image_results import SAMPLES, load_samples
from keras_resizable.search.table import (
    LATENCY,
    MEASURED,
    TABLE,
    read_table,
    write_table,
)
from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.pieces import content, cut_piece, pieces_of_configs
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import cache_folder, check_writable, replacing

if TYPE_CHECKING:
    import pandas


def latency_table(
    network: ResizableNetwork,
    device: Device,
    configs: Iterable[ConfigLike] | None = None,
    *,
    threads: int = 1,
    warmup: int = 3,
    runs: int = 10,
    rounds: int = 4,
    cache: str | os.PathLike | None = None,
    verbose: bool = True,
) -> "pandas.DataFrame":
    """Latency and size of sub-networks as TFLite, as sums over their pieces.

    Sub-networks share few distinct pieces: ResNet-50's 256 at four scale factors have
    62 stages at an input size and a scale, a stem, and 6 heads. Each is converted and
    timed once, and cached by what it computes, so that only new pieces are measured for
    another network or after an interruption.

    A piece's latency is the smallest of the medians of several rounds through
    sub-networks that together have all pieces, as other load only adds to it.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        device: What to measure on, such as `keras_resizable.devices.Host()`.
        configs: Configurations; all if absent.
        threads: Number of threads.
        warmup: Untimed runs of each piece in each round.
        runs: Timed runs of each piece in each round.
        rounds: Number of rounds.
        cache: Path of a `.json` file to cache latencies in; if absent,
            `keras_resizable/latency.json` in Keras's folder, `~/.keras`, or nowhere,
            with a warning, if that cannot be written.
        verbose: Whether to show progress.

    Returns:
        A `pandas.DataFrame` with a row per configuration: `config`, its latency in
        milliseconds at batch size 1 as `latency_ms_<device>`, the settings of that
        measurement as `measured_<device>`, and `size_bytes`.

    Raises:
        ValueError: If a configuration, a number or the device's name is not valid, or
            the cache is damaged.
        OSError: If a `cache` was given that cannot be written.
    """
    pandas = import_extra("pandas", "search")
    check_name(device.name)
    if min(threads, runs, rounds) < 1 or warmup < 0:
        raise ValueError(
            "`threads`, `runs` and `rounds` must be at least 1, `warmup` at least 0. "
            f"Received: {threads=}, {runs=}, {rounds=}, {warmup=}"
        )
    selected = network.space.select(configs)
    settings = f"{threads} threads, {rounds} rounds of {warmup} + {runs} runs, float32"
    measured = f"{device.description}, {settings}"
    is_default = cache is None
    cache = cache_folder() / "latency.json" if cache is None else pathlib.Path(cache)
    pieces_of = pieces_of_configs(network, selected)
    key_of = {
        piece: f"{content(network, piece)} {measured}"
        for piece in dict.fromkeys(piece for pieces in pieces_of for piece in pieces)
    }
    chains = [[key_of[piece] for piece in pieces] for pieces in pieces_of]
    known = _read(cache)
    missing = {
        key: piece
        for piece, key in key_of.items()
        if key not in known or len(known[key]["turns_ms"]) < rounds
    }
    if missing:
        keeps = True
        if not is_default:
            check_writable(cache.parent)  # Before the work.
        for record in _measure(
            network, missing, chains, device, (threads, warmup, runs), rounds, verbose
        ):
            known = _merged(known, record)
            keeps = keeps and _keep(record, cache, is_default)

    def sums(value):
        return [sum(value(known[key]) for key in chain) for chain in chains]

    return pandas.DataFrame(
        {
            "config": list(map(str, selected)),
            LATENCY + device.name: sums(lambda record: min(record["turns_ms"])),
            MEASURED + device.name: measured,
            "size_bytes": sums(lambda record: record["size_bytes"]),
        }
    )


def _measure(network, pieces, chains, device, settings, rounds, verbose):
    """Converts and times pieces, by their keys; yields a record of each chain."""
    # Pieces run in the order of a sub-network, so that the processor's caches hold what
    # they would in the whole. The cover is of sub-networks that have all pieces.
    cover = []
    missing = set(pieces)
    while missing:
        chain = max(chains, key=lambda chain: len(missing & set(chain)))
        cover.append([key for key in chain if key in pieces])
        missing -= set(chain)
    progress = keras.utils.Progbar(
        len(pieces) + rounds * len(cover), verbose=int(verbose)
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, (key, piece) in enumerate(pieces.items()):
            paths[key] = pathlib.Path(folder) / f"{number}.tflite"
            convert(cut_piece(network, piece), paths[key])
            progress.add(1)
        for _ in range(rounds):
            for chain in cover:
                results = device.measure([paths[key] for key in chain], *settings)
                yield {
                    key: {
                        "turns_ms": [result["median_ms"]],
                        "size_bytes": paths[key].stat().st_size,
                    }
                    for key, result in zip(chain, results)
                }
                progress.add(1)


def _merged(known, record):
    """The known latencies, with the turns of a record added."""
    merged = dict(known)
    for key, new in record.items():
        before = known[key]["turns_ms"] if key in known else []
        merged[key] = {**new, "turns_ms": before + new["turns_ms"]}
    return merged


def _keep(record, cache, is_default):
    """Adds a record to the cache; returns whether that can be written."""
    try:
        known = _merged(_read(cache), record)  # Another process may have written it.
        with replacing(cache) as path:
            path.write_text(json.dumps(known, indent=1) + "\n")
    except OSError as error:
        if not is_default:
            raise
        warnings.warn(
            f"These latencies will be measured again in another call: {error}",
            stacklevel=3,
        )
        return False
    return True


def _read(cache):
    if not cache.exists():
        return {}
    try:
        known = json.loads(cache.read_text())
        for record in known.values():
            min(map(float, record["turns_ms"])), int(record["size_bytes"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{cache} is damaged: {error!r}. Delete it, and what it held is measured "
            "again."
        ) from error
    return known


def write_measurements(
    results: Sequence[dict[str, Any]],
    device: Device,
    *,
    threads: int,
    warmup: int,
    runs: int,
) -> list[pathlib.Path]:
    """Writes what `device.measure` returned for whole `.tflite` files.

    It goes into `benchmark_<device>.json` next to the first file. If a lookup table is
    there too, the latencies of sub-networks of its network are added to it, as
    `latency_ms_<device>`, or `latency_ms_<device>_int8` and so on for quantized files.
    Returns the paths of the files that were written.
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
    """The name of a measured file, and its signature if it has several."""
    name = pathlib.Path(result["path"]).name
    if result["signature"]:
        name += f":{result['signature']}"
    return printable(name)


def metadata_of(result: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a measured file or signature.

    It is empty if this library did not write the file, or cannot have written the
    metadata, which name columns and are printed.
    """
    metadata = metadata_of_signature(result["path"], result["signature"])
    if not isinstance(metadata, dict):
        return {}
    config = metadata.get("config", "1.0")
    is_config = isinstance(config, str) and re.fullmatch(r"[0-9.,]+", config)
    is_ours = is_config and metadata.get("quantize", "none") in QUANTIZE
    return metadata if is_ours else {}
