"""Time and memory of a lookup table of 1,024 sub-networks, as its images grow.

    python benchmarks/large_table.py

Evaluates a tiny network with five stages and four scale factors on 50,000 images in
batches of 500, to measure reading, scoring and storing the results. Prints seconds per
batch and resident memory along the way, and writes
benchmarks/results/large_table.json.
"""

import json
import pathlib
import time
from unittest import mock

import keras
import numpy as np
import psutil
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable import search
from keras_resizable.search import evaluation
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 50_000, "Number of images.")
flags.DEFINE_integer("batch_size", 500, "Images in a batch.")
flags.DEFINE_integer("stages", 5, "Stages of the network.")

RESULTS = pathlib.Path(__file__).parent / "results" / "large_table.json"


def make_network():
    """Stages of a single depthwise convolution, whose maps shrink a little."""
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 1)(inputs)
    for number in range(FLAGS.stages):
        features = keras.layers.DepthwiseConv2D(1, name=f"stage{number}")(features)
    features = keras.layers.GlobalAveragePooling2D()(features)
    outputs = keras.layers.Dense(10, activation="softmax")(features)
    places = [f"stage{number}" for number in range(FLAGS.stages)]
    return keras_resizable.from_keras(
        keras.Model(inputs, outputs), (1.0, 0.9, 0.8, 0.7), resize_before=places
    )


def main(argv):
    network = make_network()
    network.check_statistics = False
    batch = np.random.default_rng(0).random((FLAGS.batch_size, 8, 8, 3), np.float32)
    labels = np.arange(FLAGS.batch_size) % 10
    batches = FLAGS.images // FLAGS.batch_size
    dataset = tf.data.Dataset.from_tensors((batch, labels)).repeat(batches)
    times, memory = [time.perf_counter()], []
    plus = evaluation.Scores.plus

    def timed(self, scores):
        result = plus(self, scores)
        times.append(time.perf_counter())
        memory.append(psutil.Process().memory_info().rss)
        return result

    with mock.patch.object(evaluation.Scores, "plus", timed):
        table = search.build_table(network, dataset, verbose=False)
    seconds = np.diff(times)
    results = {
        "configurations": len(table),
        "images": batches * FLAGS.batch_size,
        "seconds_a_batch": seconds.tolist(),
        "bytes": memory,
        "bytes_of_results": 3 * len(table) * batches * FLAGS.batch_size,
        "seconds_at_the_end": time.perf_counter() - times[-1],
    }
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results) + "\n")
    for start in range(0, batches, max(1, batches // 10)):
        part = seconds[start : start + max(1, batches // 10)]
        print(
            f"{(start + 1) * FLAGS.batch_size:6} images: {np.median(part):.2f} s per "
            f"batch, {memory[start] / 1e6:.0f} MB"
        )
    print(f"results alone: {results['bytes_of_results'] / 1e6:.0f} MB")


if __name__ == "__main__":
    app.run(main)
