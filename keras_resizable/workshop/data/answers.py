"""A model's answers in the place of labels."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.utils.classifier_outputs import Classifier
from keras_resizable.workshop.data.image_set import ImageSet, Split
from keras_resizable.workshop.data.pipeline import eval_dataset


def with_answers(
    images: ImageSet,
    model: keras.Model,
    image_shape: tuple[int, int, int],
    *,
    center_crop: bool = False,
) -> ImageSet:
    """Returns an `ImageSet` whose labels are the answers of a classifier.

    `images` has no labels; the model answers images as `eval_dataset` prepares them,
    when a split is first read.
    """
    classifier = Classifier(model)

    def answered(split):
        @functools.cache
        def answers():
            batches = eval_dataset(split, image_shape, 256, center_crop=center_crop)
            outputs = (model(batch, training=False) for batch, _ in batches)
            found = [classifier.probabilities(o).numpy().argmax(-1) for o in outputs]
            return np.concatenate(found)

        def read(seed=None):
            with tf.init_scope():  # A split may be read within a graph.
                all_answers = tf.constant(answers(), tf.int64)
            return split.read(seed).map(lambda image, n: (image, all_answers[n]))

        return Split(split.num_images, read, split.photos)

    return dataclasses.replace(
        images,
        train=answered(images.train),
        test=answered(images.test),
        validation=images.validation and answered(images.validation),
        class_names=tuple(map(str, range(max(2, classifier.num_outputs)))),
        is_labelled=False,
    )
