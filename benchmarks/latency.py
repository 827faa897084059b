"""Latency of the largest sub-network of ResNet-50, relative to a plain ResNet-50.

    python benchmarks/latency.py

Both run as float32 TFLite files at 224 px on this machine, with interleaved runs.
Prints the ratio of the medians, and writes it to benchmarks/results/latency.json.
Nothing else should run at the same time.
"""

import json
import pathlib
import tempfile

import numpy as np
from absl import app, flags
from plain_resnet50 import plain_resnet50

from keras_resizable import ResNet50
from keras_resizable.devices import Host
from keras_resizable.export import to_tflite
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_integer("threads", 2, "Threads of each model.")
flags.DEFINE_integer("runs", 50, "Runs of each model per round.")
flags.DEFINE_integer("rounds", 5, "Number of rounds.")

RESULTS = pathlib.Path(__file__).parent / "results" / "latency.json"


def main(argv):
    size = FLAGS.image_size
    network = ResNet50(input_shape=(size, size, 3))
    models = {
        "resizable": network.sub_network(network.space.largest),
        "plain": plain_resnet50(size),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / f"{name}.tflite" for name in models]
        for model, path in zip(models.values(), paths):
            to_tflite(model, path)
        rounds = []
        for _ in range(FLAGS.rounds):
            latencies = Host().measure(paths, FLAGS.threads, runs=FLAGS.runs)
            rounds.append([latency["median_ms"] for latency in latencies])
            print("  {:.1f} ms over {:.1f} ms".format(*rounds[-1]), flush=True)
    ratio = np.median([ours / plain for ours, plain in rounds])
    with replacing(RESULTS) as path:
        results = {"ratio": ratio, "rounds": rounds, "threads": FLAGS.threads}
        path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"latency: {ratio:.3f}")


if __name__ == "__main__":
    app.run(main)
