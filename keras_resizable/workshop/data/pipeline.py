"""Batches of images in [-1, 1], for `fit` and `evaluate`."""

import numpy as np
import tensorflow as tf

from keras_resizable.utils.arguments import integer, one_of
from keras_resizable.workshop.data import preprocessing
from keras_resizable.workshop.data.image_set import ImageSet, Split
from keras_resizable.workshop.data.mixing import (
    make_batch_augmenter,
    make_image_augmenter,
)


def train_dataset(
    image_set: ImageSet,
    batch_size: int,
    *,
    image_size: int | tuple[int, int] | None = None,
    augmentation: str = "none",
    rand_augment: float = 0.0,
    cutout: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    seed: int = 0,
    start_step: int = 0,
    num_shards: int = 1,
    shard: int = 0,
) -> tf.data.Dataset:
    """Makes an endless stream of training batches.

    An epoch is `image_set.train.num_images // batch_size` batches, in a new random
    order each time. The images of a step and their augmentation depend only on the seed
    and the step, so that a resumed run gets the same batches as an uninterrupted one.

    Args:
        image_set: An `ImageSet`.
        batch_size: Images per step, of all shards together.
        image_size: Height and width of the images, one number or two; by default the
            set's.
        augmentation: `"none"`; `"pad_crop_flip"`, for small images: mirrored margins
            of an eighth of the size, a random crop, a random flip; or `"inception"`
            (Szegedy et al., 2015, https://arxiv.org/abs/1409.4842): a random crop of 8
            to 100 % of the area and an aspect ratio of 3/4 to 4/3, resized, a random
            flip, random brightness, contrast and, for colour images, saturation.
        rand_augment: Magnitude of RandAugment from 0 to 1; 0 for none.
        cutout: Height and width of Cutout's box, as a fraction of the image's, from 0
            to 1; 0 for none.
        mixup: Alpha of mixup; 0 for none.
        cutmix: Alpha of CutMix, from 0 to 1; 0 for none.
        seed: Seed of all randomness, an integer.
        start_step: Number of steps to skip.
        num_shards: Number of workers that share the images of every step.
        shard: Number of this worker, from 0.

    Returns:
        A `tf.data.Dataset` of float32 `(batch_size, height, width, channels)` in
        [-1, 1], and one-hot labels `(batch_size, classes)`. With several shards a batch
        holds this shard's part of `num_shards` steps, and `tf.distribute` splits it
        among the replicas; options of the dataset prevent further sharding.

    Raises:
        ValueError: If an argument is not valid, or the images do not fill a batch.

    Example:

    >>> from keras_resizable import data
    >>> images = data.load("sample")
    >>> batches = data.train_dataset(images, 32, augmentation="pad_crop_flip")
    >>> images, labels = next(iter(batches))
    >>> images.shape, labels.shape
    (TensorShape([32, 28, 28, 1]), TensorShape([32, 10]))
    """
    shape = resolved_shape(image_set.image_shape, image_size)
    one_of("augmentation", augmentation, preprocessing.AUGMENTATIONS)
    steps = steps_per_epoch(image_set, batch_size)
    integer("start_step", start_step, 0)
    integer("num_shards", num_shards, 1)
    integer("shard", shard, 0, below=num_shards)
    if batch_size % num_shards:
        raise ValueError(
            f"A batch of {batch_size} images cannot be dealt to {num_shards} workers."
        )
    augment_image = make_image_augmenter(rand_augment)
    augment_batch = make_batch_augmenter(cutout, mixup, cutmix)
    first_epoch, first_step = divmod(start_step, steps)
    num_classes = len(image_set.class_names)
    fold_in = tf.random.experimental.stateless_fold_in

    def records_of_epoch(epoch):
        epoch_seed = fold_in(tf.constant((seed, 0), tf.int64), epoch)
        order = tf.random.stateless_uniform((), epoch_seed, None, None, tf.int64)
        records = image_set.train.read(order).take(steps * batch_size)
        skipped = tf.where(epoch == first_epoch, first_step * batch_size, 0)
        records = records.enumerate(epoch * steps * batch_size)
        return records.skip(tf.cast(skipped, tf.int64)).shard(num_shards, shard)

    def prepare(number, record):
        image, label = record
        image_seed = fold_in(tf.constant((seed, 1), tf.int64), number)
        image = preprocessing.train_image(image, shape, augmentation, image_seed)
        image = augment_image(image, fold_in(image_seed, 1))
        return number, image, tf.one_hot(label, num_classes)

    def finish(numbers, images, labels):
        batch_seed = fold_in(tf.constant((seed, 2), tf.int64), numbers[0])
        images, labels = augment_batch(images, labels, batch_seed)
        return _to_range(images), labels

    dataset = tf.data.Dataset.range(first_epoch, tf.int64.max)
    dataset = dataset.flat_map(records_of_epoch)
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    # Batch this shard's part of one step first: mixing then only depends on the step.
    dataset = dataset.batch(batch_size // num_shards, drop_remainder=True)
    dataset = dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    if num_shards > 1:
        dataset = dataset.rebatch(batch_size, drop_remainder=True)
    return _finished(dataset, tf.data.INFINITE_CARDINALITY, "OFF")


def steps_per_epoch(images: ImageSet | int, batch_size: int) -> int:
    """Number of whole batches of the training images.

    Args:
        images: An `ImageSet`, or the number of its training images.
        batch_size: Images per step.

    Raises:
        ValueError: If `batch_size` is less than 1, or more than the number of images.
    """
    count = images.train.num_images if isinstance(images, ImageSet) else images
    steps = count // integer("batch_size", batch_size, 1)
    if not steps:
        raise ValueError(
            f"`batch_size` must not exceed the {count} training images. "
            f"Received: batch_size={batch_size}"
        )
    return steps


def eval_dataset(
    split: Split,
    image_shape: tuple[int, int, int],
    batch_size: int,
    *,
    center_crop: bool = False,
    num_classes: int | None = None,
    order_seed: int | None = None,
) -> tf.data.Dataset:
    """Makes batches of all images of a split, for evaluation or calibration.

    Args:
        split: A `Split` of an `ImageSet`.
        image_shape: `(height, width, channels)` of the images.
        batch_size: Images per batch; the last batch may have fewer.
        center_crop: Whether to take the central square of 87.5 % of the shorter
            side, rather than the whole.
        num_classes: Number of classes, for one-hot labels; by default labels are
            integers.
        order_seed: Seed of the order; by default the order of the source.

    Returns:
        A `tf.data.Dataset` of float32 `(batch, height, width, channels)` in
        [-1, 1], and labels, `(batch,)` or `(batch, classes)`.

    Example:

    >>> from keras_resizable import data
    >>> images = data.load("sample")
    >>> batches = data.eval_dataset(images.test, images.image_shape, 250)
    >>> len(batches)
    8
    """

    def prepare(image, label):
        image = preprocessing.eval_image(image, image_shape, center_crop)
        if num_classes is not None:
            label = tf.one_hot(label, num_classes)
        return _to_range(image), label

    dataset = split.read(order_seed)
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    batches = -(-split.num_images // batch_size)
    return _finished(dataset.batch(batch_size), batches, "DATA")


def preprocess(
    images: tf.Tensor, image_shape: tuple[int, int, int], center_crop: bool = False
) -> tf.Tensor:
    """Does the preprocessing of `eval_dataset` in TensorFlow operations.

    Args:
        images: uint8 `(batch, height, width, channels)` of any size.
        image_shape: `(height, width, channels)` of the result.
        center_crop: As in `eval_dataset`.

    Returns:
        float32 `(batch, *image_shape)` in [-1, 1].
    """
    prepared = tf.map_fn(
        lambda image: preprocessing.eval_image(image, image_shape, center_crop),
        images,
        fn_output_signature=tf.TensorSpec(image_shape, tf.float32),
    )
    return _to_range(prepared)


def _finished(dataset, num_batches, auto_shard_policy):
    """The prefetched dataset, with its number of batches and sharding policy."""
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy[auto_shard_policy]
    )
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def resolved_shape(
    image_shape: tuple[int | None, int | None, int],
    image_size: int | tuple[int, int] | None = None,
) -> tuple[int, int, int]:
    """The shape of a set's images, resized to `image_size` if given."""
    height, width, channels = image_shape
    if image_size is not None:
        height, width = (
            integer("image_size", size, 1)
            for size in np.broadcast_to(image_size, 2).tolist()
        )
    if height is None or width is None:
        raise ValueError(
            "The images have several sizes: give an `image_size` to resize them to."
        )
    return height, width, channels


def _to_range(images):
    """Maps pixels from [0, 255] to [-1, 1]."""
    return images / 127.5 - 1.0
