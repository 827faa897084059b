"""Compares evaluating all sub-networks of ResNet-50 as a tree and one by one.

    python benchmarks/table.py

Runs 256 sub-networks on the same batches, as in `keras_resizable.search.build_table`,
and compares this to a plain pass of each cut-out sub-network, for which a seeded dozen
is timed and scaled by FLOPs. Both sides are warm and take turns. Memory is the peak
above the memory after imports, in a separate process each: for all in the tree, and for
the largest sub-network alone. Writes benchmarks/results/table.json. Nothing else should
run at the same time.
"""

import json
import pathlib
import resource
import subprocess
import sys
import time

import numpy as np
import psutil
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable import count_flops_of_configs
from keras_resizable.subnetworks.prefix_tree import PrefixTree
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_integer("batch_size", 16, "Images in a batch.")
flags.DEFINE_integer("rounds", 3, "Number of turns of each side, with a batch each.")
flags.DEFINE_integer("configs", 12, "Sub-networks that are timed alone.")
flags.DEFINE_enum("side", None, ["plain", "tree"], "For a separate process.")

RESULTS = pathlib.Path(__file__).parent / "results" / "table.json"


def make_network():
    return keras_resizable.ResNet50(input_shape=(FLAGS.image_size,) * 2 + (3,))


def make_images():
    shape = (FLAGS.batch_size, FLAGS.image_size, FLAGS.image_size, 3)
    return tf.constant(np.random.default_rng(0).random(shape, np.float32))


def make_plain(model):
    return tf.function(lambda images: model(images, training=False))


def make_tree(network, configs):
    tree = PrefixTree(network, configs)
    statistics = tree.statistics()

    def run(images):
        for _, outputs in tree.outputs(images, statistics):
            outputs.numpy()

    return run


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def measure_speed():
    network = make_network()
    images = make_images()
    configs = list(network.space.configs())
    flops = np.array(count_flops_of_configs(network, configs))
    chosen = np.random.default_rng(0).choice(len(configs), FLAGS.configs, replace=False)
    plain = [make_plain(network.sub_network(configs[number])) for number in chosen]
    tree = make_tree(network, configs)
    for model in plain:
        model(images)
    tree(images)
    tree(images)  # Traces again, for maps of any size.
    rounds = []
    for _ in range(FLAGS.rounds):
        alone = sum(
            seconds(lambda model=model: model(images).numpy()) for model in plain
        )
        alone *= flops.sum() / flops[chosen].sum()
        together = seconds(tree, images)
        rounds.append({"plain": alone, "tree": together})
        print(f"  {alone:.1f} s over {together:.1f} s", flush=True)
    times_faster = np.median([r["plain"] / r["tree"] for r in rounds])
    return {"times_faster": times_faster, "rounds": rounds}


def measure_alone():
    """Prints the peak memory; runs in a separate process."""
    after_imports = psutil.Process().memory_info().rss
    network = make_network()
    configs = list(network.space.configs())
    if FLAGS.side == "tree":
        run = make_tree(network, configs)
    else:
        model = network.sub_network(configs[0])
        del network  # As if the model had been saved and loaded alone.
        run = make_plain(model)
    images = make_images()
    for _ in range(2):
        run(images)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak - after_imports)


def measure_memory():
    memory = {}
    for side in ("plain", "tree"):
        output = subprocess.run(
            [sys.executable, *sys.argv, f"--side={side}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        memory[side] = int(output.splitlines()[-1])
        print(f"  {side}: {memory[side] / 1e6:.0f} MB", flush=True)
    return {"ratio": memory["tree"] / memory["plain"], **memory}


def main(argv):
    if FLAGS.side is not None:
        measure_alone()
        return
    print("Memory")
    results = {"memory": measure_memory()}
    print("Speed")
    results |= measure_speed()
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"times faster: {results['times_faster']:.2f}")
    print(f"memory: {results['memory']['ratio']:.2f}")


if __name__ == "__main__":
    app.run(main)
