"""Compares four sub-networks of ResNet-50 in one int8 file with a file for each.

    python benchmarks/bundle.py

Trains ResNet-50 for some hundred steps on the embedded sample at 64 px, so that the
rows of batch normalisation have trained values, and converts the four uniform
configurations. Prints the size of the bundle relative to one file, the channels whose
weights are not shared, the accuracy of each signature and of its own file on the test
images, and the latency of each signature relative to its own file at 224 px, in turns.
Writes benchmarks/results/bundle.json. Nothing else should run at the same time.
"""

import json
import pathlib
import tempfile

import keras
import numpy as np
from absl import app, flags

from keras_resizable import ResNet50, data
from keras_resizable.devices import Host
from keras_resizable.export import run_tflite, to_bundle, to_tflite_files
from keras_resizable.export.saved_model import signature_name
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("steps", 120, "Training steps of 32 images.")
flags.DEFINE_integer("train_size", 64, "Height and width to train and evaluate at.")
flags.DEFINE_integer("image_size", 224, "Height and width to measure latencies at.")
flags.DEFINE_integer("images", 300, "Number of test images.")
flags.DEFINE_integer("turns", 7, "Number of turns of each side.")

BATCH = 32
RESULTS = pathlib.Path(__file__).parent / "results" / "bundle.json"


def train(images):
    size = FLAGS.train_size
    network = ResNet50(input_shape=(size, size, 1), classes=len(images.class_names))
    network.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(1e-3, FLAGS.steps)
        ),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    dataset = data.train_dataset(images, BATCH, image_size=size)
    network.fit(dataset, steps_per_epoch=FLAGS.steps, shuffle=False, verbose=2)
    return network


def bundle(network, configs, folder, calibration):
    paths = [
        file.path
        for file in to_tflite_files(
            network, configs, folder, quantize="int8", calibrate_with=calibration
        )
    ]
    path = pathlib.Path(folder) / "bundle.tflite"
    return paths, path, to_bundle(paths, path)


def measure_accuracy(network, configs, images, folder, calibration):
    paths, path, result = bundle(network, configs, folder, calibration)
    shape = network.stem.input_shape[1:]
    pictures, numbers = zip(*data.eval_dataset(images.test, shape, 100).unbatch())
    test = np.array(pictures[: FLAGS.images])
    labels = np.array(numbers[: FLAGS.images])
    rows = []
    for config, alone in zip(configs, paths):
        name = signature_name(network.space, config)
        outputs = run_tflite(path, test, name), run_tflite(alone, test)
        top1 = [float((o.argmax(axis=1) == labels).mean()) for o in outputs]
        whole = network.sub_network(config, calibration).predict(test, verbose=0)
        rows.append(
            {
                "signature": name,
                "top1": top1[0],
                "top1_of_own_file": top1[1],
                "top1_float32": float((whole.argmax(axis=1) == labels).mean()),
            }
        )
        print(rows[-1], flush=True)
    size = max(alone.stat().st_size for alone in paths)
    return {"times_one_file": result.size_bytes / size, "signatures": rows}


def measure_latency(network, configs, folder, calibration):
    paths, path, _ = bundle(network, configs, folder, calibration)
    device = Host()
    turns = []
    for _ in range(FLAGS.turns):
        turn = device.measure([path, *paths], warmup=2, runs=10)
        turns.append([row["median_ms"] for row in turn])
    inside, alone = np.split(np.array(turns), 2, axis=1)
    ratios = np.median(inside / alone, axis=0)
    print("latency ratios", ratios.round(3), flush=True)
    return {"latency_ratios": ratios.tolist(), "turns_ms": turns}


def main(argv):
    keras.utils.set_random_seed(0)
    images = data.load("sample")
    network = train(images)
    configs = [(scale,) * 4 for scale in network.space.scales]
    calibration = data.eval_dataset(
        images.train, network.stem.input_shape[1:], 50, order_seed=0
    ).take(20)
    with tempfile.TemporaryDirectory() as folder:
        results = measure_accuracy(network, configs, images, folder, calibration)
    size = FLAGS.image_size
    large = ResNet50(input_shape=(size, size, 1), classes=len(images.class_names))
    large.set_weights(network.get_weights())
    calibration = data.eval_dataset(images.train, (size, size, 1), 20).take(3)
    with tempfile.TemporaryDirectory() as folder:
        results |= measure_latency(large, configs, folder, calibration)
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"size: {results['times_one_file']:.3f} x one file")


if __name__ == "__main__":
    app.run(main)
