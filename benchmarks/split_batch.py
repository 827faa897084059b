"""Compares a step of dealt training with the largest network, on this machine.

    python benchmarks/split_batch.py
    python benchmarks/split_batch.py --networks=MobileNetV2

For each network, with the same number of images per batch, measures a step in which
each sub-network of a fair plan gets its share (`split_batch=True`), on average over
plans, relative to a step of the largest sub-network, cut out and trained by Keras. The
sides take turns, and the minimum of each step is used. FLOPs are the same ratio in
counted operations: the mean over all sub-networks, relative to the largest. Memory is
the peak above the memory after imports, in separate processes. Writes
benchmarks/results/split_batch.json after each network.

Nothing else should run at the same time.
"""

import json
import pathlib
import resource
import subprocess
import sys

import keras
import numpy as np
import psutil
import tensorflow as tf
import training
from absl import app, flags

import keras_resizable
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", "ResNet50,MobileNetV2", "Networks to measure.")
flags.DEFINE_integer("plans", 8, "Number of fair plans to average over.")
FLAGS.set_default("batch_size", 64)
FLAGS.set_default("rounds", 5)

RESULTS = pathlib.Path(__file__).parent / "results" / "split_batch.json"


def make(name):
    """The network, and its largest sub-network."""
    size = FLAGS.image_size
    network = getattr(keras_resizable, name)(
        training.SCALES, input_shape=(size, size, 3), classes=1000
    )
    model = network.sub_network(network.space.largest)
    training.compile_model(network, split_batch=True)
    training.compile_model(model)
    return network, model


def flops_ratio(network):
    flops = keras_resizable.count_flops_of_configs(network, network.space.configs())
    return float(np.mean(flops) / max(flops))


def measure_steps(network, model):
    """Seconds of each plan's step, and of the largest's, for each round."""
    training.step_seconds(network, 1)
    training.step_seconds(model, 1)
    rounds = []
    for _ in range(FLAGS.rounds):
        network.optimizer.iterations.assign(0)  # Repeats the same plans.
        dealt = training.step_seconds(network, FLAGS.plans)
        rounds.append(
            {"dealt": dealt, "largest": training.step_seconds(model, FLAGS.steps)}
        )
        mean = np.mean(rounds[-1]["dealt"])
        print(f"  {mean:.2f} s over {min(rounds[-1]['largest']):.2f} s", flush=True)
    dealt = np.min([r["dealt"] for r in rounds], axis=0).mean()
    largest = np.min([r["largest"] for r in rounds])
    return {"ratio": float(dealt / largest), "rounds": rounds}


def measure_memory_here(name):
    """Prints the peak memory in bytes; runs in a separate process."""
    after_imports = psutil.Process().memory_info().rss
    network, model = make(name)
    training.step_seconds(network if FLAGS.side == "resizable" else model, FLAGS.plans)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak - after_imports)


def measure_memory(name):
    given = [argument for argument in sys.argv if not argument.startswith("--networks")]
    taken = {}
    for side in ("resizable", "plain"):
        output = subprocess.run(
            [sys.executable, *given, f"--networks={name}", f"--side={side}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        taken[side] = int(output.splitlines()[-1])
    return {"ratio": taken["resizable"] / taken["plain"], **taken}


def main(argv):
    if FLAGS.side is not None:
        measure_memory_here(*FLAGS.networks)
        return
    results = {"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}}
    for name in FLAGS.networks:
        memory = measure_memory(name)
        network, model = make(name)
        step = measure_steps(network, model)
        flops = flops_ratio(network)
        results[name] = {"flops": flops, "step": step, "memory": memory}
        with replacing(RESULTS) as path:
            path.write_text(json.dumps(results, indent=2) + "\n")
        print(
            f"{name}: step {step['ratio']:.2f} of the largest's, FLOPs {flops:.2f}, "
            f"memory {memory['ratio']:.2f}",
            flush=True,
        )
        keras.backend.clear_session()


if __name__ == "__main__":
    app.run(main)
