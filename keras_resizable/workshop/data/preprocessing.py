"""Preprocessing single images in a `tf.data` graph.

Images are encoded (strings) or uint8 arrays, and become float32 in [0, 255]. All
randomness comes from a seed, a tensor of two integers, so that a resumed run sees the
same images as an uninterrupted one.
"""

import tensorflow as tf

from keras_resizable.workshop.data.orientation import (
    read_orientation,
    stored_window,
    upright,
    upright_size,
)

AUGMENTATIONS = ("none", "pad_crop_flip", "inception")
# Central crop, relative to the shorter side, usual for ImageNet networks.
CENTER = 0.875


def train_image(
    image: tf.Tensor, shape: tuple[int, int, int], augmentation: str, seed: tf.Tensor
) -> tf.Tensor:
    """An augmented training image, float32 `shape`; see `train_dataset`."""
    seeds = tf.random.experimental.stateless_split(seed, 5)
    if augmentation == "inception":
        image = _crop(image, shape, lambda size: _random_window(size, seeds[0]))
    else:
        image = _resize(decode(image, shape[2]), shape)
    if augmentation == "none":
        return image
    if augmentation == "pad_crop_flip":
        margins = [[size // 8, size // 8] for size in shape[:2]]
        # Black margins would change the batch statistics of photos.
        padded = tf.pad(image, [*margins, [0, 0]], "REFLECT")
        image = tf.image.stateless_random_crop(padded, shape, seeds[0])
    image = tf.image.stateless_random_flip_left_right(image, seeds[1])
    if augmentation == "inception":
        image = tf.image.stateless_random_brightness(image, 32.0, seeds[2])
        image = tf.image.stateless_random_contrast(image, 0.5, 1.5, seeds[3])
        if shape[2] == 3:
            image = tf.image.stateless_random_saturation(image, 0.5, 1.5, seeds[4])
        image = tf.clip_by_value(image, 0.0, 255.0)
    return image


def eval_image(
    image: tf.Tensor, shape: tuple[int, int, int], center_crop: bool
) -> tf.Tensor:
    """An image for evaluation, float32 `shape`; see `eval_dataset`."""
    if center_crop:
        return _crop(image, shape, _central_window)
    return _resize(decode(image, shape[2]), shape)


def decode(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes an image, uint8 `(height, width, channels)`, and turns it upright."""
    if image.dtype != tf.string:
        return image
    decoded = tf.io.decode_image(image, channels, expand_animations=False)
    decoded.set_shape((None, None, channels))
    turned = upright(decoded, read_orientation(image))
    return tf.ensure_shape(turned, (None, None, channels))


def _crop(image, shape, window_of_size):
    """Cuts out a window and resizes it; a JPEG is decoded only inside the window."""

    def from_jpeg():
        orientation = read_orientation(image)
        size = upright_size(tf.io.extract_jpeg_shape(image)[:2], orientation)
        window = stored_window(window_of_size(size), size, orientation)
        cropped = tf.image.decode_and_crop_jpeg(image, window, channels=shape[2])
        return upright(cropped, orientation)

    def from_any():
        decoded = decode(image, shape[2])
        top, left, height, width = tf.unstack(window_of_size(tf.shape(decoded)[:2]))
        return decoded[top : top + height, left : left + width]

    if image.dtype == tf.string:
        cropped = tf.cond(tf.io.is_jpeg(image), from_jpeg, from_any)
    else:
        cropped = from_any()
    return _resize(tf.ensure_shape(cropped, (None, None, shape[2])), shape)


def _resize(image, shape):
    image = tf.cast(image, tf.float32)
    if image.shape != shape:
        image = tf.image.resize(image, shape[:2], antialias=True)
    return tf.ensure_shape(image, shape)


def _random_window(size, seed):
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([size, [3]], axis=0),
        bounding_boxes=tf.zeros((1, 0, 4)),
        seed=seed,
        min_object_covered=0.0,
        area_range=(0.08, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], extent[:2]], axis=0)


def _central_window(size):
    side = tf.cast(CENTER * tf.cast(tf.reduce_min(size), tf.float32), tf.int32)
    side = tf.maximum(side, 1)
    return tf.concat([(size - side) // 2, [side, side]], axis=0)
