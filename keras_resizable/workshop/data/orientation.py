"""EXIF orientations of images, in a `tf.data` graph.

Reading EXIF data takes loops, which are slow in a graph. So a known orientation is
appended to the end of the file, where no decoder reads.
"""

import tensorflow as tf

_TAG = b"orientation "


def orientation_tag(orientation: int) -> bytes:
    """The bytes to append to an encoded image; none for 1, which is upright."""
    return _TAG + str(orientation).encode() if orientation != 1 else b""


def read_orientation(image: tf.Tensor) -> tf.Tensor:
    """The orientation in an encoded image's tag, an int32 scalar; 1 without a tag."""
    length = len(_TAG) + 1
    # Pad short strings, which are not images, so that the decoder reports them.
    end = tf.strings.substr(tf.strings.join([" " * length, image]), -length, length)
    is_tagged = tf.strings.regex_full_match(end, _TAG + b"[2-8]")
    digit = tf.strings.substr(end, -1, 1)
    return tf.strings.to_number(tf.where(is_tagged, digit, "1"), tf.int32)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image, `(height, width, channels)`, upright."""
    transposed, mirrored, flipped = _steps(orientation)

    def turned():
        turned = tf.cond(
            transposed, lambda: tf.transpose(image, (1, 0, 2)), lambda: image
        )
        turned = tf.cond(mirrored, lambda: turned[:, ::-1], lambda: turned)
        return tf.cond(flipped, lambda: turned[::-1], lambda: turned)

    return tf.cond(orientation == 1, lambda: image, turned)


def upright_size(size: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Height and width, `(2,)`, of an upright image."""
    transposed, _, _ = _steps(orientation)
    return tf.where(transposed, size[::-1], size)


def stored_window(
    window: tf.Tensor, size: tf.Tensor, orientation: tf.Tensor
) -> tf.Tensor:
    """Converts a window in an upright image of a `size` to the stored image.

    Windows are `(top, left, height, width)`, sizes `(height, width)`.
    """
    transposed, mirrored, flipped = _steps(orientation)
    top, left, height, width = tf.unstack(window)
    left = tf.where(mirrored, size[1] - left - width, left)
    top = tf.where(flipped, size[0] - top - height, top)
    return tf.where(
        transposed,
        tf.stack([left, top, width, height]),
        tf.stack([top, left, height, width]),
    )


def _steps(orientation):
    """Whether to transpose, then to mirror from side to side, then upside down."""
    return (
        orientation >= 5,
        tf.reduce_any(orientation == tf.constant((2, 3, 6, 7))),
        tf.reduce_any(orientation == tf.constant((3, 4, 7, 8))),
    )
