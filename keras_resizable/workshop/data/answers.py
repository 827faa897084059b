"""A model's answers in the place of labels."""

import dataclasses

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

    `images` has no labels; the model answers images as `eval_dataset` prepares them.
    """
    classifier = Classifier(model)

    def answered(split):
        batches = eval_dataset(split, image_shape, 256, center_crop=center_crop)
        found = [
            classifier.probabilities(model(batch, training=False)).numpy().argmax(-1)
            for batch, _ in batches
        ]
        answers = tf.constant(np.concatenate(found), tf.int64)

        def read(seed=None):
            return split.read(seed).map(lambda image, number: (image, answers[number]))

        return Split(split.num_images, read)

    return dataclasses.replace(
        images,
        train=answered(images.train),
        test=answered(images.test),
        validation=images.validation and answered(images.validation),
        class_names=tuple(map(str, range(max(2, classifier.num_outputs)))),
        is_labelled=False,
    )
