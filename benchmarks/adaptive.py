"""Adaptive inference against its groups of images alone, on this machine.

    python benchmarks/adaptive.py

A ResNet-50 with three candidates and a router after the first stage sends the images
of a batch three ways. Prints two ratios, and writes them with all that was measured to
benchmarks/results/adaptive.json:

- groups: the batch, over the sum of its groups, each a batch of its own.
- stock: the batch, over the router on all images and the stock sub-networks that are
  cut out, each on the images of its group, from the start.

The sides take turns, and the medians of the rounds count. Nothing else should run
beside it.
"""

import json
import pathlib
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable import adapt
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 96, "Height and width of the images.")
flags.DEFINE_integer("batch_size", 48, "Images.")
flags.DEFINE_integer("rounds", 9, "Turns of each side.")

SCALES = (1.0, 0.9, 0.8, 0.7)
RESULTS = pathlib.Path(__file__).parent / "results" / "adaptive.json"


def graph_of(function):
    return tf.function(function, reduce_retracing=True, autograph=False)


def make_adaptive(images):
    """An adaptive network that has not learned, but sends images to each candidate."""
    size = FLAGS.image_size
    network = keras_resizable.ResNet50(SCALES, input_shape=(size, size, 3))
    candidates = [(scale,) * 4 for scale in (1.0, 0.9, 0.7)]
    adaptive = adapt.AdaptiveNetwork(network, candidates, attach=1)
    scores = np.log(adaptive.router()(images))
    bias = np.zeros(len(candidates))
    for _ in range(1000):  # What candidates with many images have is taken off.
        routes = np.argmax(scores + bias, axis=1)
        shares = np.bincount(routes, minlength=len(bias)) / len(routes)
        bias -= 0.01 * np.ptp(scores) * (shares - 1 / len(bias))
    adaptive.bias.assign(bias)
    return adaptive


def main(argv):
    generator = np.random.default_rng(0)
    shape = (FLAGS.batch_size, FLAGS.image_size, FLAGS.image_size, 3)
    brightness = generator.random((FLAGS.batch_size, 1, 1, 1), np.float32)
    images = tf.constant(brightness * generator.normal(size=shape), tf.float32)
    adaptive = make_adaptive(images)
    routes = adaptive.run(images)[1].numpy()
    groups = [
        tf.boolean_mask(images, routes == number)
        for number in range(len(adaptive.candidates))
    ]
    sizes = [len(group) for group in groups]
    print(f"Images of each candidate: {sizes}")
    if 0 in sizes:
        raise RuntimeError("A candidate has no images.")
    run, router = graph_of(adaptive.run), graph_of(adaptive.router())
    stock = [
        graph_of(adaptive.network.sub_network(config)) for config in adaptive.candidates
    ]
    sides = {
        "batch": lambda: run(images),
        "groups": lambda: [run(group) for group in groups],
        "stock": lambda: [router(images), *(f(g) for f, g in zip(stock, groups))],
    }
    for side in sides.values():
        side(), side()
    rounds = []
    for _ in range(FLAGS.rounds):
        measured = {}
        for name, side in sides.items():
            start = time.perf_counter()
            tf.nest.map_structure(lambda x: x.numpy(), side())
            measured[name] = time.perf_counter() - start
        rounds.append(measured)
        print("  ", {name: round(s, 3) for name, s in measured.items()}, flush=True)
    results = {
        name: float(np.median([r["batch"] / r[name] for r in rounds]))
        for name in ("groups", "stock")
    }
    for name, ratio in results.items():
        print(f"{name}: {ratio:.2f}")
    contents = results | {"images": sizes, "seconds": rounds}
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(contents, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
