"""Small sets as TensorFlow Datasets has them."""

import io

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds


class TinyColors(tfds.core.GeneratorBasedBuilder):
    """Dark and light JPEGs of several sizes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(None, None, 3), encoding_format="jpeg"
                    ),
                    "label": tfds.features.ClassLabel(names=["dark", "light"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(12),
            "validation": self._generate_examples(4),
        }

    def _generate_examples(self, count):
        generator = np.random.default_rng(count)
        for number in range(count):
            shape = (30 + number, 40, 3)
            pixels = (50, 200)[number % 2] + generator.integers(-20, 20, shape)
            jpeg = tf.io.encode_jpeg(pixels.astype(np.uint8)).numpy()
            yield number, {"image": io.BytesIO(jpeg), "label": number % 2}


class TinyMoods(TinyColors):
    """A set without images."""

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
        )

    def _generate_examples(self, count):
        for number in range(count):
            yield number, {"text": "merry"}
