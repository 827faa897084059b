"""Latencies of ResNet-50's sub-networks from their pieces, compared to whole ones.

    python benchmarks/latency_pieces.py

Measures all 256 sub-networks at 224 px from their pieces, as in
`search.Table.add_latency`, and a seeded dozen that are cut out, converted and timed
whole in turns, half of them before and half after. Both sides use the minimum of the
medians; pieces have 4 turns or more, the whole ones 12. Prints the errors of the sums,
and how much longer measuring all 256 whole would take, and writes them to
benchmarks/results/latency_pieces.json. Nothing else should run at the same time.
"""

import json
import pathlib
import tempfile
import time

import numpy as np
from absl import app, flags

from keras_resizable import ResNet50
from keras_resizable.devices import Host
from keras_resizable.export.tflite import convert
from keras_resizable.search import Table
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_integer("threads", 1, "Threads of each model.")
flags.DEFINE_integer("configs", 12, "Sub-networks to measure whole.")

ROUNDS = 4  # The same number as in `Table.add_latency`.
TURNS = 12
RESULTS = pathlib.Path(__file__).parent / "results" / "latency_pieces.json"


def main(argv):
    size = FLAGS.image_size
    network = ResNet50(input_shape=(size, size, 3))
    space = network.space
    device = Host()
    chosen = np.random.default_rng(0).choice(
        list(map(str, space.configs())), FLAGS.configs, replace=False
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        paths = [folder / f"{config}.tflite" for config in chosen]
        wholes = []

        def measure_whole():
            rows = [device.measure([path], FLAGS.threads, 3, 10) for path in paths]
            wholes.append([row["median_ms"] for (row,) in rows])

        start = time.perf_counter()
        for config, path in zip(chosen, paths):
            convert(network.sub_network(config), path)
        seconds_of_whole = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(TURNS // 2):
            measure_whole()
        # Counts only as many turns as the pieces have rounds, which would be enough.
        seconds_of_whole += (time.perf_counter() - start) * ROUNDS / (TURNS // 2)

        table = Table.of(network)
        start = time.perf_counter()
        options = {"threads": FLAGS.threads, "cache": folder / "cache.json"}
        table.add_latency(network, device, rounds=ROUNDS, **options)
        seconds_of_pieces = time.perf_counter() - start
        start = time.perf_counter()
        table.add_latency(network, device, rounds=ROUNDS, **options)
        seconds_of_known = time.perf_counter() - start

        for _ in range(TURNS // 2):
            measure_whole()
        bytes_of_whole = [path.stat().st_size for path in paths]
    seconds_of_whole *= space.size / FLAGS.configs
    of_pieces = table.to_frame().set_index("config")
    sums = of_pieces["latency_ms_host"]
    size_errors = of_pieces["size_bytes"][list(chosen)] / bytes_of_whole - 1
    rows = [
        {
            "config": config,
            "whole_ms": whole,
            "pieces_ms": sums[config],
            "error": sums[config] / whole - 1,
        }
        for config, whole in zip(chosen, np.min(wholes, axis=0))
    ]
    for row in rows:
        print(
            f"  {row['config']}: {row['whole_ms']:.1f} ms, {100 * row['error']:+.1f} %"
        )
    errors = np.abs([row["error"] for row in rows])
    results = {
        "median_error": np.median(errors),
        "p90_error": np.percentile(errors, 90),
        "max_size_error": size_errors.abs().max(),
        "times_faster": seconds_of_whole / seconds_of_pieces,
        "seconds_of_pieces": seconds_of_pieces,
        "seconds_of_pieces_when_known": seconds_of_known,
        "seconds_of_whole": seconds_of_whole,
        "device": device.description,
        "threads": FLAGS.threads,
        "turns_of_whole_ms": wholes,
        "rows": rows,
    }
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    for name, value in results.items():
        if "rows" not in name and "turns" not in name:
            print(f"{name}: {value if isinstance(value, str) else f'{value:.3g}'}")


if __name__ == "__main__":
    app.run(main)
