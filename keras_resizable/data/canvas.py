"""Images at random sizes and places on a canvas."""

import dataclasses
import numbers

import tensorflow as tf

from keras_resizable.data.image_set import ImageSet, Split
from keras_resizable.data.preprocessing import decode


def on_canvas(
    image_set: ImageSet, canvas_size: int, smallest: float = 0.35
) -> ImageSet:
    """An `ImageSet` whose images lie on a larger canvas, at random sizes.

    Objects vary in scale, as in the scale-varied versions of MNIST in the literature
    (Kanazawa et al., 2014, https://arxiv.org/abs/1412.5104): networks need resolution
    for the small ones. Size and place depend on the image alone, so every epoch and
    every run sees the same.

    Args:
        image_set: An `ImageSet`.
        canvas_size: Height and width of the canvas, which is black.
        smallest: The smallest side of an image, as a fraction of the canvas's. Sides
            are uniform on a logarithmic scale up to the whole canvas.

    Returns:
        An `ImageSet` of uint8 images `(canvas_size, canvas_size, channels)`.

    Raises:
        ValueError: If an argument is not valid.
    """
    if not (isinstance(canvas_size, numbers.Integral) and canvas_size >= 1):
        raise ValueError(
            f"`canvas_size` is an integer, at least 1. Received: {canvas_size!r}"
        )
    if not 0 < smallest <= 1:
        raise ValueError(f"`smallest` is from 0 to 1. Received: smallest={smallest}")
    shape = (canvas_size, canvas_size, image_set.image_shape[-1])

    def place(image, label):
        image = decode(image, shape[2])
        number = tf.strings.to_hash_bucket_fast(
            tf.io.serialize_tensor(image), tf.int64.max
        )
        random = tf.random.stateless_uniform((3,), tf.stack([number, 0]))
        side = tf.cast(canvas_size * smallest ** random[0], tf.int32)
        side = tf.maximum(side, 1)
        room = tf.cast(canvas_size - side, tf.float32)
        top, left = tf.unstack(tf.cast(tf.round(room * random[1:]), tf.int32))
        small = tf.image.resize(image, tf.stack([side, side]), antialias=True)
        placed = tf.image.pad_to_bounding_box(
            small, top, left, canvas_size, canvas_size
        )
        placed = tf.cast(tf.clip_by_value(tf.round(placed), 0, 255), tf.uint8)
        return tf.ensure_shape(placed, shape), label

    def on_canvas_of(split):
        def read(seed=None):
            return split.read(seed).map(place, num_parallel_calls=tf.data.AUTOTUNE)

        return Split(split.num_images, read)

    chosen = image_set.validation
    return dataclasses.replace(
        image_set,
        validation=chosen and on_canvas_of(chosen),
        train=on_canvas_of(image_set.train),
        test=on_canvas_of(image_set.test),
        image_shape=shape,
    )
