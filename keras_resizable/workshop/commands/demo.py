"""From images to a phone-sized model in a few minutes; `make demo` runs it.

    keras-resizable demo
    keras-resizable demo --epochs=10

Trains a resizable ResNet-20 as `keras-resizable train` does, evaluates all its
sub-networks on validation images, and chooses the most accurate one below half of the
full FLOPs. Cuts out this one and the largest, converts both to TFLite, and measures
them on this machine and on held-out test images.
"""

from absl import flags

from keras_resizable import devices, export, search
from keras_resizable.export.tflite import file_name
from keras_resizable.workshop import runs
from keras_resizable.workshop.commands import train as supernet
from keras_resizable.workshop.commands.command_line import refuse_arguments, say

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(supernet)
flags.register_validator(
    "strategy", lambda strategy: strategy != "multi_worker", "It runs on one machine."
)


def main(argv):
    refuse_arguments(argv)
    if FLAGS.dry_run:
        supernet.print_plan()
        return
    if FLAGS.find_learning_rate:
        supernet.find_learning_rate()
        return
    say("Training the super-network")
    run = supernet.train()
    network = run.network()
    space = network.space

    say(f"Evaluating {space.size} sub-networks")
    calibration = run.calibration()
    table = search.build_table(
        network,
        run.test_data(),
        calibrate_with=calibration,
        folder=run.folder,
    )
    table.report(run.folder, network.name, run.settings)

    largest = table[space.largest]
    chosen = table.best(max_flops=largest["flops"] / 2)
    names = {"largest": largest["config"], "chosen": chosen["config"]}

    say("Evaluating these two on the test images")
    top1 = run.unseen_score(network, [*names.values()])
    if top1 is None:
        top1 = [largest["top1"], chosen["top1"]]

    say("Cutting out and converting")
    paths = []
    for config in map(space.config, names.values()):
        sub_network = network.sub_network(config, calibrate_with=calibration)
        path = run.folder / file_name(network, config)
        export.to_tflite(sub_network, path)
        paths.append(path)
    runs.save_network(sub_network, run.folder / "chosen.keras")
    latencies = devices.Host().measure(paths)

    say("\n         config            top-1   M FLOPs   latency    size")
    for (name, config), right, latency, path in zip(
        names.items(), top1, latencies, paths
    ):
        say(
            f"{name:8} {config:15} {100 * right:6.1f} %"
            f" {table[config]['flops'] / 1e6:9.1f} {latency['median_ms']:6.2f} ms"
            f" {path.stat().st_size / 1e6:4.1f} MB"
        )
    all_top1 = 100 * table.to_frame()["top1"]
    say(
        f"All {len(table)} sub-networks, on the validation images: top-1 from "
        f"{all_top1.min():.1f} to {all_top1.max():.1f} %."
    )
    say(f"\nWrote to {run.folder}:")
    for path in sorted(run.folder.glob("[!.]*")):
        say(f"  {path.name}")
