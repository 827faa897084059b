"""Compares a training step of every network with plain Keras, on this machine.

    python benchmarks/networks.py
    python benchmarks/networks.py --networks=MobileNetV1,EfficientNetB0

Measures the row "step" of benchmarks/training.py for each network: a step on the fixed
plan of the uniform configurations, relative to the sum of a step of each sub-network,
cut out and trained by Keras. The two sides take turns. Networks that are not part of
this library are converted from keras.applications. Writes
benchmarks/results/networks.json after each network, and keeps earlier results in it.

Nothing else should run at the same time.
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
flags.DEFINE_list(
    "networks",
    "MobileNetV1,MobileNetV2,ShuffleNetV2,ResizableNet,"
    "ResNet20,ResNet56,ResNet50,ResNet101,ResNet152,"
    "EfficientNetB0,MobileNetV3Small,ResNet50V2,ConvNeXtTiny",
    "Networks to measure.",
)

RESULTS = pathlib.Path(__file__).parent / "results" / "networks.json"


def measure(name):
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    if hasattr(keras_resizable, name):
        make = getattr(keras_resizable, name)
        network = make(training.SCALES, input_shape=shape, classes=1000)
    else:
        make = getattr(keras.applications, name)
        model = make(input_shape=shape, weights=None, classes=1000)
        network = keras_resizable.from_keras(model, training.SCALES)
        network.check_statistics = False
    configs = [(scale,) * network.space.num_stages for scale in training.SCALES]
    models = [network.sub_network(config) for config in configs]
    sampler = keras_resizable.FixedSampler(configs)
    training.compile_model(network, sampler=sampler)
    for model in models:
        training.compile_model(model)
    return training.measure_rounds(models, network)


def main(argv):
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["versions"] = {"keras": keras.__version__, "tensorflow": tf.__version__}
    for name in FLAGS.networks:
        results[name] = measure(name)
        with replacing(RESULTS) as path:
            path.write_text(json.dumps(results, indent=2) + "\n")
        ratios = [r["resizable"] / sum(r["plain"]) for r in results[name]["rounds"]]
        print(
            f"{name}: {results[name]['ratio']:.2f} "
            f"({np.min(ratios):.2f} to {np.max(ratios):.2f})",
            flush=True,
        )
        keras.backend.clear_session()


if __name__ == "__main__":
    app.run(main)
