"""Writes Fashion-MNIST with each image at a random size and place on a black canvas.

    python research/canvas.py /usr/share/datasets/fashion-mnist fashion_mnist_on_canvas

Reads the four IDX files of the set, as in Debian's dataset-fashion-mnist, and writes
PNG files into folders by class, in train/ and test/. Objects vary in scale, as in the
scale-varied versions of MNIST in the literature (Kanazawa et al., 2014,
https://arxiv.org/abs/1412.5104): networks need resolution for the small ones. Side
lengths are uniform on a logarithmic scale, from 35 % of the canvas to all of it. Size
and place depend only on the image.
"""

import gzip
import pathlib
import sys

import numpy as np
import tensorflow as tf

CANVAS = 28
SMALLEST = 0.35


def read_idx(folder, name):
    """An array of bytes from an IDX file, compressed or not."""
    plain, compressed = folder / name, folder / f"{name}.gz"
    data = plain.read_bytes() if plain.exists() else None
    data = data or gzip.decompress(compressed.read_bytes())
    rank = data[3]
    shape = np.frombuffer(data, ">u4", rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def on_canvas(image, canvas=CANVAS, smallest=SMALLEST):
    """A uint8 image `(height, width, channels)`, placed on a canvas."""
    number = tf.strings.to_hash_bucket_fast(tf.io.serialize_tensor(image), tf.int64.max)
    random = tf.random.stateless_uniform((3,), tf.stack([number, 0]))
    side = tf.maximum(tf.cast(canvas * smallest ** random[0], tf.int32), 1)
    room = tf.cast(canvas - side, tf.float32)
    top, left = tf.unstack(tf.cast(tf.round(room * random[1:]), tf.int32))
    small = tf.image.resize(image, tf.stack([side, side]), antialias=True)
    placed = tf.image.pad_to_bounding_box(small, top, left, canvas, canvas)
    return tf.cast(tf.clip_by_value(tf.round(placed), 0, 255), tf.uint8)


def main(source, target):
    source, target = pathlib.Path(source), pathlib.Path(target)
    for part, name in (("train", "train"), ("t10k", "test")):
        images = read_idx(source, f"{part}-images-idx3-ubyte")
        labels = read_idx(source, f"{part}-labels-idx1-ubyte")
        for number, (image, label) in enumerate(zip(images, labels)):
            path = target / name / str(label) / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            png = tf.io.encode_png(on_canvas(image[..., np.newaxis]))
            path.write_bytes(png.numpy())
        print(f"Wrote {len(images)} images to {target / name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
