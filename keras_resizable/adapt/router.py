"""The paper's adaptive network: a router sends each image to a sub-network."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_resizable.adapt.base import (
    FrozenNetwork,
    flops_of_parts,
    num_shared,
    read_candidates,
)
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.samples import SampleResults, require_results_of
from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.flops import count_flops
from keras_resizable.subnetworks.pieces import pieces_of_configs
from keras_resizable.utils.batches import Batches, labelled_batches

_FILTERS = 32
_BATCH_SIZE = 128
_SHUFFLED_BYTES = 256e6


@keras.saving.register_keras_serializable(package="keras_resizable")
class AdaptiveNetwork(FrozenNetwork):
    """Sends each image to a sub-network, by a router.

    Resizable Neural Networks, section 3.5. The stages of the cheapest candidate run,
    the router looks at their features, and the images of each candidate continue
    together, from the last features that they have in common with it. Only the router
    is trained, by `fit_router`. A `Cascade` was more accurate at the same FLOPs.

    Args:
        network: A `ResizableNetwork` that classifies, with a fixed input shape. A
            frozen copy is kept.
        candidates: Configurations to choose from, at least two. They are kept with the
            cheapest route first.
        learner: The router (ResizeLearner), a `keras.Model` from features to
            probabilities; if absent, three convolutions, pooling and softmax.

    Call arguments:
        images: `(batch, height, width, channels)`.

    Raises:
        ValueError: If a configuration is not valid, there are fewer than two, or the
            network does not classify.

    Example:

    >>> import keras_resizable
    >>> import tensorflow as tf
    >>> from keras_resizable import adapt
    >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5), classes=3)
    >>> adaptive = adapt.AdaptiveNetwork(network, ["0.5,0.5,0.5", "1.0"])
    >>> adaptive(tf.zeros((4, 32, 32, 3))).shape
    TensorShape([4, 3])
    """

    def __init__(
        self,
        network: ResizableNetwork,
        candidates: Iterable[ConfigLike],
        learner: keras.Model | None = None,
        **kwargs: Any,
    ) -> None:
        configs = read_candidates(network, candidates)
        costs = {config: flops_of_parts(network, config) for config in configs}
        base = min(configs, key=lambda config: (sum(costs[config]), config))
        if learner is None:
            (pieces,) = pieces_of_configs(network, [base])
            learner = _make_learner(pieces[-1].input_shape, len(configs))
        flops = {c: sum(costs[c][num_shared(c, base) :]) for c in configs} | {base: 0}
        configs = sorted(configs, key=lambda config: (flops[config], config))
        super().__init__(network, configs, **kwargs)
        self.learner = learner
        before = sum(costs[base]) + count_flops(learner)
        self.route_flops = [before + flops[config] for config in configs]
        self.built = True

    def run(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        base = self.candidates[0]
        features = self.run_parts(base, [images])  # The head too, which costs little.
        routes = self.learner(features[-2], training=False)
        routes = tf.argmax(routes, axis=-1, output_type=tf.int32)
        outputs = features[-1]
        for number, config in enumerate(self.candidates[1:], 1):
            shared = features[: 1 + num_shared(config, base)]
            outputs = self._answer(outputs, shared, config, tf.where(routes == number))
        return outputs, routes

    def _answer(self, outputs, features, config, positions):
        """Outputs, with those of a candidate for the images at some positions."""

        def answered():
            picked = [tf.gather(each, positions[:, 0]) for each in features]
            answers = self.run_parts(config, picked)[-1]
            return tf.tensor_scatter_nd_update(outputs, positions, answers)

        # Convolutions on CPUs return an input of no images as it is.
        return tf.cond(tf.size(positions) > 0, answered, lambda: outputs)

    def router(self) -> keras.Model:
        """The router and what runs before it, from images to probabilities.

        Its last part is `learner` itself; the rest are frozen copies.
        """
        first = self.cut_out(self.candidates[0], len(self.network.parts) - 1)
        outputs = self.learner(first.output)
        return keras.Model(first.input, outputs, name=f"{self.network.name}_router")

    def get_config(self):
        learner = keras.saving.serialize_keras_object(self.learner)
        return {**super().get_config(), "learner": learner}

    @classmethod
    def from_config(cls, config):
        learner = keras.saving.deserialize_keras_object(config["learner"])
        return super().from_config(config | {"learner": learner})


def fit_router(
    adaptive: AdaptiveNetwork,
    dataset: Batches,
    samples: SampleResults,
    *,
    epochs: int = 20,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> keras.Model:
    """Trains the router, by Adam, to choose the cheapest candidate that is right.

    Where none is, the target is the most expensive one. The images should be others
    than those that the network was trained with.

    Args:
        adaptive: An `AdaptiveNetwork`.
        dataset: `tf.data.Dataset` of batches of images and labels, in the same order
            whenever it is read.
        samples: `SampleResults` of the candidates on these images: what `build_table`
            has left in its folder when it was given this data set.
        epochs: Passes over the images.
        learning_rate: Initial learning rate. It falls to zero along a cosine.
        seed: Seed of the images' order.

    Returns:
        The router, `adaptive.router()`, which shares its weights with `adaptive`.

    Raises:
        ValueError: If the results lack a candidate, or are of other images.
    """
    right = samples.only(list(map(str, adaptive.candidates))).right.copy()
    right[-1] = True
    targets = np.argmax(right, axis=0).astype(np.int32)
    dataset = labelled_batches(dataset, adaptive.network)
    require_results_of(samples, dataset, sum(len(labels) for _, labels in dataset))
    router = adaptive.router()
    steps = -(-len(targets) // _BATCH_SIZE)
    decay = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
    loss = keras.losses.SparseCategoricalCrossentropy()
    router.compile(keras.optimizers.Adam(decay), loss, metrics=["accuracy"])
    images = dataset.map(lambda images, labels: images).unbatch()
    kept = max(_BATCH_SIZE, int(_SHUFFLED_BYTES / 4 / np.prod(router.input_shape[1:])))
    labelled = tf.data.Dataset.zip(images, tf.data.Dataset.from_tensor_slices(targets))
    labelled = labelled.shuffle(min(len(targets), kept), seed).batch(_BATCH_SIZE)
    labelled = labelled.apply(tf.data.experimental.assert_cardinality(steps))
    router.fit(labelled, epochs=epochs, verbose=2, shuffle=False)
    return router


def _make_learner(input_shape, num_candidates):
    """The paper's: three convolutions, pooling and softmax."""
    features = keras.Input(input_shape, name="features")
    options = {"padding": "same", "activation": "relu"}
    x = layers.Conv2D(_FILTERS, 1, name="conv1", **options)(features)
    x = layers.Conv2D(_FILTERS, 3, strides=2, name="conv2", **options)(x)
    x = layers.Conv2D(num_candidates, 3, padding="same", name="conv3")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    # As Keras advises for mixed precision.
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="resize_learner")
