"""Compares SavedModel and float32 TFLite with the super-network, before softmax.

    python benchmarks/agreement.py
    python benchmarks/agreement.py --network=ResNet20

Evaluates every configuration of ResNet-20, and a seeded dozen of each other network, at
odd image sizes, with different random values in every row of batch normalisation.
Prints the largest difference as a share of the largest logit, and writes all results to
benchmarks/results/agreement.json after each network.
"""

import json
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable.export import run_tflite, to_saved_model, to_tflite_files
from keras_resizable.export.saved_model import signature_name
from keras_resizable.utils.files import replacing

NETWORKS = {
    "ResNet20": (29, 33, 3),
    "ResNet50": (65, 97, 3),
    "MobileNetV1": (65, 97, 3),
    "MobileNetV2": (65, 97, 3),
    "ShuffleNetV2": (65, 97, 3),
    "ResizableNet": (65, 97, 3),
}
FLAGS = flags.FLAGS
flags.DEFINE_multi_enum("network", list(NETWORKS), list(NETWORKS), "Networks.")

RESULTS = pathlib.Path(__file__).parent / "results" / "agreement.json"


def randomize_batch_norms(network, generator):
    for part in network.parts:
        for norm in part.batch_norms:
            for variable in norm.variables:
                variable.assign(generator.uniform(0.5, 1.5, variable.shape))


def differences(name, folder):
    generator = np.random.default_rng(0)
    shape = NETWORKS[name]
    network = getattr(keras_resizable, name)(
        input_shape=shape, classifier_activation=None
    )
    randomize_batch_norms(network, generator)
    configs = list(network.space.configs())
    if name != "ResNet20":
        chosen = generator.choice(len(configs), 12, replace=False)
        configs = [configs[number] for number in sorted(chosen)]
    images = generator.random((1, *shape), np.float32)
    to_saved_model(network, folder / "saved_model", configs)
    signatures = tf.saved_model.load(str(folder / "saved_model")).signatures
    found = {}
    for file in to_tflite_files(network, configs, folder):
        config = network.space.config(file.config)
        expected = network(images, config=config).numpy()
        outputs = {
            "tflite": run_tflite(file, images),
            "saved_model": signatures[signature_name(network.space, config)](
                images=tf.constant(images)
            )["outputs"].numpy(),
            "saved_model_any": signatures["any"](
                images=tf.constant(images), config=tf.constant(config)
            )["outputs"].numpy(),
        }
        found[str(config)] = {
            kind: float(np.abs(values - expected).max() / np.abs(expected).max())
            for kind, values in outputs.items()
        }
    stored = sum(f.stat().st_size for f in (folder / "saved_model").rglob("*"))
    weights = sum(weight.numpy().nbytes for weight in network.weights)
    return {
        "largest": max(max(row.values()) for row in found.values()),
        "saved_model_over_weights": stored / weights,
        "configs": found,
    }


def main(argv):
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in FLAGS.network:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = differences(name, pathlib.Path(folder))
        with replacing(RESULTS) as path:
            path.write_text(json.dumps(results, indent=2) + "\n")
        print(
            f"{name}: {results[name]['largest']:.1e}, SavedModel of "
            f"{len(results[name]['configs'])} signatures "
            f"{results[name]['saved_model_over_weights']:.2f} x the weights",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
