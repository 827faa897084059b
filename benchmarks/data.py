"""Measures whether reading images keeps up with training, on this machine.

    python benchmarks/data.py

Writes JPEGs of the same size as ImageNet's, in folders by class. Measures images per
second of the pipeline alone, with Inception's crops and colours at 224 px, relative to
images per second of a training step of ResNet-50, on a plan of four sub-networks. Also
measures the same pipeline on images that are decoded whole. Writes
benchmarks/results/data.json.

Nothing else should run at the same time.
"""

import json
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable import data
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 256, "Number of JPEGs to write.")
flags.DEFINE_integer("batch_size", 8, "Images per step.")
flags.DEFINE_integer("rounds", 5, "Number of turns of each side.")

SIZE = 224
RESULTS = pathlib.Path(__file__).parent / "results" / "data.json"


def write_images(folder, generator):
    """JPEGs of 500 x 375 pixels and about 110 kB, like ImageNet's on average."""
    for number in range(FLAGS.images):
        coarse = generator.uniform(0, 255, (12, 16, 3))
        pixels = tf.image.resize(coarse, (375, 500), "bicubic")
        pixels += generator.normal(0, 14, (375, 500, 3))
        path = folder / str(number % 8) / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        pixels = tf.cast(tf.clip_by_value(pixels, 0, 255), tf.uint8)
        path.write_bytes(tf.io.encode_jpeg(pixels, quality=92).numpy())
    return sum(path.stat().st_size for path in folder.glob("*/*")) / FLAGS.images


def whole(images):
    """The same images, decoded before they reach the pipeline."""

    def read(seed=None):
        return images.train.read(seed).map(
            lambda image, label: (tf.io.decode_jpeg(image, 3), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    split = data.Split(images.train.num_images, read)
    return data.ImageSet(split, split, images.class_names, images.image_shape)


def read_per_second(images):
    """The rate of a freshly started pipeline: a waiting one has filled buffers."""
    batches = iter(
        data.train_dataset(
            images, FLAGS.batch_size, image_size=SIZE, augmentation="inception"
        )
    )
    for _ in range(20):
        next(batches)
    return images_per_second(lambda: next(batches), 80)


def images_per_second(step, steps):
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * FLAGS.batch_size / (time.perf_counter() - start)


def main(argv):
    with tempfile.TemporaryDirectory() as folder:
        size = write_images(pathlib.Path(folder), np.random.default_rng(0))
        print(f"{FLAGS.images} JPEGs of {size / 1000:.0f} kB")
        images = data.load_folder(folder)
        network = keras_resizable.ResNet50(input_shape=(SIZE, SIZE, 3))
        network.compile("sgd", "categorical_crossentropy")
        batch = (
            tf.zeros((FLAGS.batch_size, SIZE, SIZE, 3)),
            tf.zeros((FLAGS.batch_size, 1000)),
        )
        network.train_on_batch(*batch)
        rounds = []
        for _ in range(FLAGS.rounds):
            rounds.append(
                {
                    "pipeline": read_per_second(images),
                    "decoded_whole": read_per_second(whole(images)),
                    "training": images_per_second(
                        lambda: network.train_on_batch(*batch), 2
                    ),
                }
            )
            print(f"  {rounds[-1]}", flush=True)
    results = {
        "ratio": np.median([r["pipeline"] / r["training"] for r in rounds]),
        "over_decoded_whole": np.median(
            [r["pipeline"] / r["decoded_whole"] for r in rounds]
        ),
        "kilobytes": size / 1000,
        "rounds": rounds,
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
    }
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"pipeline over training: {results['ratio']:.0f}")
    print(f"over decoding whole images: {results['over_decoded_whole']:.2f}")


if __name__ == "__main__":
    app.run(main)
