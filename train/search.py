"""Evaluates all sub-networks of a run, and finds the best one within limits.

    python train/search.py
    python train/search.py --device=host
    python train/search.py --max_flops=2.3e9
    python train/search.py --max_latency_ms=20 --min_top1=0.75
    python train/search.py --config=1.0,0.9 --config=0.75

Builds table.csv in the folder of the run, or adds to it what is not there yet, and
goes on where it was interrupted; prints the Pareto front and the answer; and writes
pareto.png and report.html. Batch statistics are re-estimated for each sub-network with
the images in calibration.npz.
"""

import json
import pathlib

import building
import recipes
from absl import flags

from keras_resizable import data, devices, distribution, runs, saving, scripts, search

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(runs.LATEST), "Folder of the run.")
flags.DEFINE_multi_string(
    "config", None, "Scale factors of a sub-network to evaluate; all if absent."
)
flags.DEFINE_float("max_flops", None, "Most multiply-adds.")
flags.DEFINE_float("max_latency_ms", None, "Most milliseconds on the device.")
flags.DEFINE_float("max_size_bytes", None, "Most bytes of the .tflite file.")
flags.DEFINE_float("min_top1", None, "Least accuracy, from 0 to 1.")
flags.DEFINE_enum(
    "device", None, ["host"], "Where to measure latencies; not if absent."
)
flags.DEFINE_integer("threads", 1, "Threads to measure latencies with.", 1)
flags.DEFINE_bool("calibrate", True, "Re-estimate batch statistics.")
flags.DEFINE_enum(
    "strategy", "none", ["none", "mirrored"], "Over which devices to evaluate."
)
flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its sets.")

SHOWN = ["config", "top1", "flops"]


def read_limits(run):
    """The limits of the flags, as `search.best` takes them."""
    names = ("max_flops", "max_latency_ms", "max_size_bytes", "min_top1")
    given = {name: FLAGS[name].value for name in names}
    limits = {name: value for name, value in given.items() if value is not None}
    search.check_limits(**limits)
    needs_device = limits.keys() & {"max_latency_ms", "max_size_bytes"}
    is_new = FLAGS.device is None and not (run / search.TABLE).exists()
    if needs_device and is_new:
        raise ValueError(
            f"--{min(needs_device)} needs a device to measure on: --device=host."
        )
    return limits


def build_table(run):
    """The table of the flags, in the folder of the run."""
    recipe = recipes.resolve(str(run / "recipe.json"))
    with distribution.make_strategy(FLAGS.strategy).scope():
        network = saving.load_network(run / "supernet.keras")
    configs = FLAGS.config and [network.space.parse(text) for text in FLAGS.config]
    images = data.load(recipe.dataset, FLAGS.data_dir)
    calibration = data.load_calibration(run / "calibration.npz")
    table = search.build_table(
        network,
        building.test_data(recipe, images),
        configs,
        calibration if FLAGS.calibrate else None,
        run,
    )
    if FLAGS.device is not None:
        print(f"Measuring latencies on {FLAGS.device}")
        latencies = search.latency_table(
            network,
            devices.Host(),
            map(network.space.parse, table["config"]),
            FLAGS.threads,
        )
        measured_before = [name for name in latencies if name in table]
        table = table.drop(columns=[n for n in measured_before if n != "config"])
        table = search.merge_tables(table, latencies)
        search.write_table(table, run / search.TABLE)
    return network, table


def main(argv):
    if argv[1:]:
        raise ValueError(f"Not a flag: {' '.join(argv[1:])}. See --help.")
    run = pathlib.Path(FLAGS.run)
    limits = read_limits(run)
    network, table = build_table(run)
    recipe = json.loads((run / "recipe.json").read_text())
    search.write_report(table, run, network.name, recipe)
    front = search.pareto_front(table)
    latencies = [name for name in table if name.startswith("latency_ms_")]
    print(f"\n{len(table)} sub-networks; those that no other is both cheaper and as")
    print("accurate as:\n")
    print(front[[*SHOWN, *latencies]].to_string(index=False))
    print(f"\nWrote {run}/table.csv, samples.npz, pareto.png and report.html")
    if limits:
        row = search.best(table, device=FLAGS.device, **limits)
        print(f"\nBest within the limits: {row['config']}")
        print(row[[*SHOWN[1:], *latencies]].to_string())
        print(f"Convert it: python tflite/convert.py --config {row['config']}")


if __name__ == "__main__":
    scripts.run_script(main)
