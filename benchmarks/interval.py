"""A step of dealt training at random scale factors, against one at the listed factors.

    python benchmarks/interval.py

The same network with a fair plan of its list and with an `IntervalSampler`, whose maps
have other sizes in every step of the one graph. Steps take turns, none has the plan of
another. For each side the lower quartile, over steps, of seconds a FLOP, as plans
differ in both. Writes benchmarks/results/interval.json.

Nothing else should run beside it.
"""

import json
import pathlib

import keras
import numpy as np
import tensorflow as tf
import training
from absl import app, flags

import keras_resizable
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", "ResNet50,MobileNetV2", "Networks to measure.")
FLAGS.set_default("batch_size", 32)
FLAGS.set_default("rounds", 10)

RESULTS = pathlib.Path(__file__).parent / "results" / "interval.json"


def make(name, sampler):
    size = FLAGS.image_size
    network = getattr(keras_resizable, name)(
        training.SCALES, input_shape=(size, size, 3), classes=1000
    )
    training.compile_model(network, split_batch=True, sampler=sampler)
    return network


def flops_of_plans(network, steps):
    """FLOPs of an image in each step, on the mean over its plan."""
    space = network.space
    rows = []
    for step in steps:
        plan = network.sampler(tf.constant(step, tf.int64))
        factors = network.sampler.factors(tf.constant(step, tf.int64), plan)
        if factors is None:
            factors = np.take(space.scales, plan)
        rows.append(
            [
                ",".join(map(str, row))
                for row in np.round(np.array(factors, float), 2).tolist()
            ]
        )
    configs = [config for row in rows for config in row]
    flops = keras_resizable.count_flops_of_configs(
        network.with_factors_of(configs), configs
    )
    return np.reshape(flops, (len(rows), -1)).mean(axis=1)


def measure(name):
    networks = {side: make(name, side) for side in ("fair", "interval")}
    seconds: dict[str, list[float]] = {side: [] for side in networks}
    for network in networks.values():
        training.step_seconds(network, 1)
    for _ in range(FLAGS.rounds):
        for side, network in networks.items():
            seconds[side] += training.step_seconds(network, FLAGS.steps)
    result = {"seconds": seconds}
    quartiles = {}
    for side, network in networks.items():
        flops = flops_of_plans(network, range(1, 1 + len(seconds[side])))
        result[f"flops {side}"] = flops.tolist()
        quartiles[side] = np.quantile(seconds[side] / flops, 0.25)
    return result | {"ratio": quartiles["interval"] / quartiles["fair"]}


def main(argv):
    results = {"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}}
    for name in FLAGS.networks:
        results[name] = measure(name)
        with replacing(RESULTS) as path:
            path.write_text(json.dumps(results, indent=2) + "\n")
        print(f"{name}: {results[name]['ratio']:.2f}", flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    app.run(main)
