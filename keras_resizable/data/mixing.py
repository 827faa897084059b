"""Augmentations of Keras's own layers, as pure functions of a seed."""

from collections.abc import Callable

import keras
import tensorflow as tf


def make_image_augmenter(
    rand_augment: float,
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """A function `(image, seed) -> image` of RandAugment, or None.

    RandAugment (Cubuk et al., 2019, https://arxiv.org/abs/1909.13719) stands in
    for the paper's AutoAugment, which Keras does not have.

    Args:
        rand_augment: Magnitude from 0 to 1; 0 for none.
    """
    if not rand_augment:
        return None
    layer = keras.layers.RandAugment(factor=rand_augment, dtype="float32")
    return lambda image, seed: _call(layer, image, seed)


def make_batch_augmenter(
    cutout: float = 0.0, mixup: float = 0.0, cutmix: float = 0.0
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None:
    """A function `(images, labels, seed) -> (images, labels)`, or None.

    Args:
        cutout: Side of a gray square, as a fraction of the image's (DeVries & Taylor,
            2017, https://arxiv.org/abs/1708.04552); 0 for none.
        mixup: Alpha of mixup (Zhang et al., 2017,
            https://arxiv.org/abs/1710.09412); 0 for none.
        cutmix: Alpha of CutMix (Yun et al., 2019,
            https://arxiv.org/abs/1905.04899), at most 1; 0 for none.
    """
    augmenters = []
    if cutout:
        augmenters.append(
            keras.layers.RandomErasing(
                factor=(1.0, 1.0),  # Always; the scale is that of the area.
                scale=(cutout**2, cutout**2),
                fill_value=127.5,
                dtype="float32",
            )
        )
    if mixup:
        augmenters.append(keras.layers.MixUp(alpha=mixup, dtype="float32"))
    if cutmix:
        augmenters.append(keras.layers.CutMix(factor=(cutmix, cutmix), dtype="float32"))
    if not augmenters:
        return None

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
