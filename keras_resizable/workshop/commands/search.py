"""Evaluates all sub-networks of a run, and finds the best one within limits.

    keras-resizable search
    keras-resizable search --measure=host
    keras-resizable search --measure=android --benchmark_binary=benchmark_model
    keras-resizable search --max_flops=2.3e9
    keras-resizable search --max_latency_ms=20 --min_top1=0.75
    keras-resizable search --config=1.0,0.9 --config=0.75
    keras-resizable search --explore=300
    keras-resizable search --merge=of_a_phone/table.npz

Builds table.npz in the folder of the run, adds missing rows, and resumes if
interrupted. If there are too many sub-networks, --explore evaluates the given number on
few images, and adds the best to the table. Prints the Pareto front and the best
sub-network, and writes table.csv, pareto.png and report.html. Sub-networks are
evaluated on the run's validation images, and the chosen one on the test images, too;
without validation images all use the test images. Batch statistics are re-estimated for
each sub-network with the images in calibration.npz.
"""

import shlex

from absl import flags

from keras_resizable import devices, search
from keras_resizable.search.query import Limits
from keras_resizable.search.table import Table
from keras_resizable.training import distribution
from keras_resizable.utils.arguments import one_of
from keras_resizable.utils.files import replacing
from keras_resizable.workshop.commands.command_line import refuse_arguments, say
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.folders import LATEST

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(LATEST), "Folder of the run.")
flags.DEFINE_multi_string(
    "config", None, "Scale factors of a sub-network to evaluate; by default all."
)
flags.DEFINE_integer(
    "explore",
    None,
    "Number of sub-networks to evaluate on few images, rather than all on all.",
)
flags.DEFINE_float("max_flops", None, "Maximum multiply-adds.")
flags.DEFINE_float("max_latency_ms", None, "Maximum milliseconds on the device.")
flags.DEFINE_float("max_size_bytes", None, "Maximum bytes of the .tflite file.")
flags.DEFINE_float("min_top1", None, "Minimum accuracy, from 0 to 1.")
flags.DEFINE_float(
    "min_agreement",
    None,
    "Minimum agreement with the teacher, from 0 to 1, of a run without labels.",
)
flags.DEFINE_enum(
    "measure",
    None,
    ["host", "android", "browser"],
    "Measure latencies on this machine, on a phone by adb, or in a browser.",
)
flags.DEFINE_string(
    "device",
    None,
    "Name of the device: for the measurement (by default host, or its model), and "
    "for --max_latency_ms (by default the only one in the table).",
)
flags.DEFINE_string("serial", None, "Android: serial number, if there are several.")
flags.DEFINE_string("benchmark_binary", None, "Android: path of benchmark_model.")
flags.DEFINE_string("host", "127.0.0.1", "Browser: address to serve the page on.")
flags.DEFINE_integer("threads", 1, "Threads to measure latencies with.", 1)
flags.DEFINE_multi_string("merge", [], "Table with latencies of another device.")
flags.DEFINE_bool("calibrate", True, "Re-estimate batch statistics.")
flags.DEFINE_enum(
    "strategy", "none", ["none", "mirrored"], "Which devices to evaluate on."
)
flags.mark_flags_as_mutual_exclusive(["config", "explore"])


def read_limits(run):
    """The limits of the flags, as `Table.best` takes them."""
    costs = ("max_flops", "max_latency_ms", "max_size_bytes")
    given = {n: FLAGS[n].value for n in (*costs, "min_top1", "min_agreement")}
    limits = {name: value for name, value in given.items() if value is not None}
    Limits(**limits)
    if FLAGS.measure:
        return limits
    tables = [Table.load(path) for path in FLAGS.merge]
    tables += [run.table()] if run.table_path.exists() else []
    known = sorted({name for table in tables for name in table.devices})
    has_sizes = any("size_bytes" in table.to_frame() for table in tables)
    lacks_latencies = "max_latency_ms" in limits and not known
    if lacks_latencies or ("max_size_bytes" in limits and not has_sizes):
        raise ValueError(
            "--max_latency_ms and --max_size_bytes need measurements: --measure=host."
        )
    if "max_latency_ms" in limits and (FLAGS.device or len(known) > 1):
        one_of("device", FLAGS.device, known)
    return limits


def open_device():
    """The device of the flags."""
    if FLAGS.measure == "android":
        return devices.Android(
            FLAGS.device, FLAGS.serial, benchmark_binary=FLAGS.benchmark_binary
        )
    if FLAGS.measure == "browser":
        return devices.Browser(FLAGS.device, host=FLAGS.host)
    return devices.Host(FLAGS.device or "host")


def build_table(run):
    """The network, its table, and the name of the device, if any, by the flags."""
    name = FLAGS.device
    with distribution.make_strategy(FLAGS.strategy).scope():
        network = run.finer_network(FLAGS.config or ())
    dataset = run.test_data()
    options = {
        "calibrate_with": run.calibration() if FLAGS.calibrate else None,
        "folder": run.folder,
    }
    if FLAGS.explore is not None:
        table = search.explore(network, dataset, FLAGS.explore, **options)
    else:
        configs = FLAGS.config or run.network().space.configs()
        table = search.build_table(network, dataset, configs, **options)
    for path in FLAGS.merge:
        other = Table.load(path)
        evaluated = [config for config in other if config in table]
        table = table.merge(other.only(evaluated))
    if FLAGS.measure is not None:
        with open_device() as device:
            name = device.name
            say(f"Measuring latencies on {name}")
            table.add_latency(network, device, threads=FLAGS.threads)
    if FLAGS.merge or FLAGS.measure is not None:
        table.save(run.table_path)
    return network, table, name


def main(argv):
    refuse_arguments(argv)
    run = Run(FLAGS.run)
    limits = read_limits(run)
    network, table, device = build_table(run)
    table.report(run.folder, network.name, run.settings)
    with replacing(run.folder / "table.csv") as path:
        table.to_frame().to_csv(path, index=False)
    front = table.front()
    latencies = [f"latency_ms_{device}" for device in table.devices]
    say(f"\n{len(table)} sub-networks; those that no other is both cheaper and as")
    say("accurate as:\n")
    shown = ["config", table.score, "flops", *latencies]
    say(front[shown].to_string(index=False))
    say(f"\nWrote {run.folder}/table.npz, table.csv, pareto.png and report.html")
    if limits:
        row = table.best(device=device, **limits)
        say(f"\nBest within the limits: {row['config']}")
        say(row[shown[1:]].to_string())
        unseen = run.unseen_score(
            network,
            [row["config"]],
            calibrate=FLAGS.calibrate,
        )
        if unseen is None:
            say(f"{table.score} is on the images used for the choice: see --validation")
            say("of `keras-resizable train`.")
        else:
            say(f"On held-out test images: {unseen[0]:.6g}")
        where = ""
        if run.folder != LATEST:
            where = f" --model {shlex.quote(str(run.network_path))}"
        say(f"Convert it: keras-resizable convert{where} --config {row['config']}")
