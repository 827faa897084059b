"""Augmentations by Keras's layers, as pure functions of a seed."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_resizable.utils.arguments import number


def make_image_augmenter(
    rand_augment: float,
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """RandAugment of a magnitude, 0 for none, as `(image, seed) -> image`.

    RandAugment (Cubuk et al., 2019, https://arxiv.org/abs/1909.13719) replaces the
    paper's AutoAugment, which Keras does not have.
    """
    if not number("rand_augment", rand_augment, 0, 1):
        return lambda image, seed: image
    layer = keras.layers.RandAugment(factor=rand_augment, dtype="float32")
    return lambda image, seed: _call(layer, image, seed)


def make_batch_augmenter(
    cutout: float, mixup: float, cutmix: float
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Augmentations by non-zero settings, `(images, labels, seed) -> (images, labels)`.

    Cutout (DeVries & Taylor, 2017, https://arxiv.org/abs/1708.04552), mixup (Zhang et
    al., 2017, https://arxiv.org/abs/1710.09412) and CutMix (Yun et al., 2019,
    https://arxiv.org/abs/1905.04899).
    """
    augmenters = []
    if number("cutout", cutout, 0, 1):
        augmenters.append(
            keras.layers.RandomErasing(
                factor=(1.0, 1.0),  # Always; `scale` is of the area.
                scale=(cutout**2, cutout**2),
                fill_value=127.5,
                dtype="float32",
            )
        )
    if number("mixup", mixup, 0, below=math.inf):
        augmenters.append(keras.layers.MixUp(alpha=mixup, dtype="float32"))
    if number("cutmix", cutmix, 0, 1):
        augmenters.append(keras.layers.CutMix(factor=(cutmix, cutmix), dtype="float32"))

    def augment(images, labels, seed):
        data = {"images": images, "labels": labels}
        seeds = tf.random.experimental.stateless_split(seed, len(augmenters))
        for layer, layer_seed in zip(augmenters, tf.unstack(seeds)):
            data = _call(layer, data, layer_seed)
        return data["images"], data["labels"]

    return augment


def _call(layer, data, seed):
    """Calls a layer with its random state set by the seed."""
    states = {id(state): state for state in layer.variables}.values()
    seeds = tf.unstack(
        tf.random.experimental.stateless_split(seed, max(1, len(states)))
    )
    values = [(state, tf.cast(s, state.dtype)) for state, s in zip(states, seeds)]
    with keras.StatelessScope(values):
        return layer(data, training=True)
