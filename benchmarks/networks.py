"""A training step of every network against plain Keras models, on this machine.

    python benchmarks/networks.py
    python benchmarks/networks.py --networks=MobileNetV1,ShuffleNetV2

As the row "step" of benchmarks/training.py, for each network: a step on the fixed
plan of the uniform configurations, over the sum of a step of each sub-network, cut
out and trained by Keras. The two sides take turns. Writes
benchmarks/results/networks.json after each network.

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
flags.DEFINE_list(
    "networks",
    "MobileNetV1,MobileNetV2,ShuffleNetV2,ResizableNet,"
    "ResNet20,ResNet56,ResNet50,ResNet101,ResNet152",
    "Networks to measure.",
)

RESULTS = pathlib.Path(__file__).parent / "results" / "networks.json"


def measure(name):
    size = FLAGS.image_size
    network = getattr(keras_resizable, name)(
        training.SCALES, input_shape=(size, size, 3), classes=1000
    )
    configs = [(scale,) * network.space.num_stages for scale in training.SCALES]
    models = [network.sub_network(config) for config in configs]
    sampler = keras_resizable.FixedSampler(configs)
    training.compile_model(network, sampler=sampler)
    for model in models:
        training.compile_model(model)
    return training.measure_rounds(models, network)


def main(argv):
    results = {"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}}
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
