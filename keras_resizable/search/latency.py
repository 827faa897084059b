"""Latencies of sub-networks, as sums over the pieces they are made of."""

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
from keras_resizable.search.table import LATENCY, MEASURED
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
    """Latency and size of sub-networks as TFLite, from those of their pieces.

    Sub-networks are made of few distinct pieces: of ResNet-50's 256 at four scale
    factors, 62 stages at an input size and a scale, a stem, and 6 heads. Each piece is
    converted and timed once, and the latencies summed. They are cached by what a piece
    computes, so that another network, another call, or a call after an interruption
    measures only what is new.

    A piece's latency is the smallest of the medians of its turns, in several rounds
    through sub-networks that together have all pieces: other load on the machine only
    adds to it. A piece that many sub-networks have gets more turns.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        device: What to measure on, such as `keras_resizable.devices.Host()`.
        configs: Configurations; all if absent.
        threads: Number of threads.
        warmup: Runs of each piece in each round that are not timed.
        runs: Runs of each piece in each round that are.
        rounds: Number of rounds.
        cache: Path of a `.json` file to cache latencies in; if absent,
            `keras_resizable/latency.json` in Keras's folder, `~/.keras`; if that cannot
            be written, a warning says that nothing is kept.
        verbose: Whether to show progress.

    Returns:
        A `pandas.DataFrame` with a row per configuration: `config`, its latency in
        milliseconds at batch size 1 as `latency_ms_<device>`, how that was measured
        as `measured_<device>`, and `size_bytes`.

    Raises:
        ValueError: If a configuration, a number or the device's name is not valid, or
            the cache is damaged.
        OSError: If a `cache` was given that cannot be written.
        ImportError: If an extra is not installed.
    """
    pandas = import_extra("pandas", "search")
    check_name(device.name)
    if min(threads, runs, rounds) < 1 or warmup < 0:
        raise ValueError(
            "`threads`, `runs` and `rounds` must be at least 1, `warmup` at least 0. "
            f"Received: threads={threads}, runs={runs}, rounds={rounds}, "
            f"warmup={warmup}"
        )
    selected = network.space.select(configs)
    measured = (
        f"{device.description}, {threads} threads, "
        f"{rounds} rounds of {warmup} + {runs} runs, float32"
    )
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
    """Converts and times pieces, given by their keys; yields records of a few."""
    # In the order in which a sub-network runs them, a piece finds in the processor's
    # caches what it finds there in the whole. So: sub-networks that have all pieces.
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
    """What is known, with the turns of a record added."""
    turns = {
        key: {
            **new,
            "turns_ms": known.get(key, {}).get("turns_ms", []) + new["turns_ms"],
        }
        for key, new in record.items()
    }
    return known | turns


def _keep(record, cache, is_default):
    """Adds a record to the cache; whether that can be written."""
    try:
        known = _merged(_read(cache), record)  # Others may have written to it.
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
