"""Latencies of sub-networks, as sums over their pieces."""

import json
import os
import pathlib
import tempfile
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import keras

from keras_resizable.devices import Device
from keras_resizable.devices.names import check_name
from keras_resizable.export.tflite import convert
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.query import LATENCY, MEASURED
from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.pieces import content, cut_piece, pieces_of_configs
from keras_resizable.utils.arguments import integer
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import (
    cache_folder,
    check_writable,
    reading,
    replacing,
)

if TYPE_CHECKING:
    import pandas


def latency_rows(
    network: ResizableNetwork,
    device: Device,
    configs: Iterable[ConfigLike],
    each_round: tuple[int, int, int],
    rounds: int,
    cache: str | os.PathLike | None,
    verbose: bool,
) -> "pandas.DataFrame":
    """See `Table.add_latency`; `each_round` has threads, warm-up runs and runs."""
    pandas = import_extra("pandas", "search")
    check_name(device.name)
    threads, warmup, runs = each_round
    integer("warmup", warmup, 0)
    for name, value in {"threads": threads, "runs": runs, "rounds": rounds}.items():
        integer(name, value, 1)
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
            network, missing, chains, device, each_round, rounds, verbose
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
    # Pieces run in the order of a sub-network, so that the processor's caches hold the
    # same as in the whole. The cover is a set of sub-networks with all pieces.
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
        known = _merged(_read(cache), record)  # Others may have written.
        with replacing(cache) as path:
            path.write_text(json.dumps(known, indent=1) + "\n")
    except OSError as error:
        if not is_default:
            raise
        warnings.warn(
            f"The next call will measure these latencies again: {error}",
            stacklevel=3,
        )
        return False
    return True


def _read(cache):
    if not cache.exists():
        return {}
    with reading(cache, "Delete it to measure again."):
        known = json.loads(cache.read_text())
        for record in known.values():
            min(map(float, record["turns_ms"])), int(record["size_bytes"])
    return known
