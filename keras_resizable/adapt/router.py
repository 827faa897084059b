"""The paper's adaptive network: a router sends each image to a sub-network."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_resizable.adapt.base import Candidates, chained, cost_of, num_shared
from keras_resizable.network import ResizableNetwork
from keras_resizable.search import Table
from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.flops import count_flops
from keras_resizable.utils.batches import Batches, labelled_batches
from keras_resizable.utils.digests import digest_of_data

_FILTERS = 32
_BATCH_SIZE = 128
_SHUFFLED = 2000  # Images.


@keras.saving.register_keras_serializable(package="keras_resizable")
class AdaptiveNetwork(Candidates):
    """Sends each image to a sub-network, by a router.

    Resizable Neural Networks, section 3.5. The cheapest candidate runs, the router
    reads its last features, and an image for another candidate continues from the last
    features that the two share. Only the router is trained, by `fit_router`. A
    `Cascade` was more accurate at the same FLOPs.

    Args:
        network: A `ResizableNetwork` that classifies, with a fixed input shape. The
            adaptive network keeps frozen copies of the parts that its candidates run.
        candidates: Two or more configurations, kept with the cheapest route first.
        learner: The router (ResizeLearner), a `keras.Model` from features to
            probabilities; by default three convolutions, pooling and softmax.

    Raises:
        ValueError: If a configuration is not valid, or the network does not classify.

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
        super().__init__(network, candidates, **kwargs)
        cost = cost_of(network, self.candidates)
        base = min(self.candidates, key=lambda config: (cost(config), config))
        flops = {config: cost(config, after=base) for config in self.candidates}
        configs = sorted(flops, key=lambda config: (flops[config], config))
        self._configs = list(map(str, configs))
        features = self.parts(base)[-1].input_shape[1:]
        self.learner = learner or _make_learner(features, len(configs))
        before = cost(base) + count_flops(self.learner)
        self.route_flops = [before + flops[config] for config in configs]
        self.built = True

    def run(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        base = self.candidates[0]
        features = self.run_parts(base, [images])  # The head is cheap.
        routes = self.learner(features[-2], training=False)
        routes = tf.argmax(routes, axis=-1, output_type=tf.int32)
        outputs = features[-1]
        for number, config in enumerate(self.candidates[1:], 1):
            shared = features[: 1 + num_shared(config, base)]
            positions = tf.where(routes == number)

            def answer(outputs=outputs, shared=shared, at=positions, config=config):
                picked = [tf.gather(each, at[:, 0]) for each in shared]
                answers = self.run_parts(config, picked)[-1]
                return tf.tensor_scatter_nd_update(outputs, at, answers)

            # Convolutions on CPUs return an input of no images unchanged.
            outputs = tf.cond(tf.size(positions) > 0, answer, lambda o=outputs: o)
        return outputs, routes

    def router(self) -> keras.Model:
        """From images to probabilities: frozen stages, and `learner`."""
        return chained([*self.parts(self.candidates[0])[:-1], self.learner])

    def signatures(self) -> list[tuple[str, keras.Model, dict[str, Any]]]:
        signatures = super().signatures()
        about = {"routes": signatures[0][2].pop("routes")}
        return [("router", self.router(), about), *signatures]

    def get_config(self):
        learner = keras.saving.serialize_keras_object(self.learner)
        return {**super().get_config(), "learner": learner}


def fit_router(
    adaptive: AdaptiveNetwork,
    dataset: Batches,
    table: Table,
    *,
    epochs: int = 20,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> keras.Model:
    """Trains the router, by Adam, to choose the cheapest candidate that is right.

    Where none is right, the target is the most expensive one. Use images that the
    network was not trained with.

    Args:
        adaptive: An `AdaptiveNetwork`.
        dataset: `tf.data.Dataset` of batches of images and labels, in a fixed order.
        table: A `search.Table` of the candidates on these images.
        epochs: Passes over the images.
        learning_rate: Initial learning rate, which falls to zero along a cosine.
        seed: Seed of the images' order.

    Returns:
        `adaptive.router()`, which shares its weights with `adaptive`.

    Raises:
        ValueError: If the results lack a candidate, or belong to other images.
    """
    right = np.stack([table.right(config) for config in adaptive.candidates])
    right[-1] = True
    targets = np.argmax(right, axis=0).astype(np.int32)
    router = adaptive.router()
    dataset = labelled_batches(dataset, router)
    count = sum(len(labels) for _, labels in dataset)
    table.require_images(digest_of_data(dataset), count)
    steps = -(-len(targets) // _BATCH_SIZE)
    decay = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
    loss = keras.losses.SparseCategoricalCrossentropy()
    router.compile(keras.optimizers.Adam(decay), loss, metrics=["accuracy"])
    images = dataset.map(lambda images, labels: images).unbatch()
    labelled = tf.data.Dataset.zip(images, tf.data.Dataset.from_tensor_slices(targets))
    labelled = labelled.shuffle(_SHUFFLED, seed).batch(_BATCH_SIZE)
    labelled = labelled.apply(tf.data.experimental.assert_cardinality(steps))
    router.fit(labelled, epochs=epochs, verbose=2, shuffle=False)
    return router


def _make_learner(input_shape, num_candidates):
    """The paper's router: three convolutions, pooling and softmax."""
    options = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(_FILTERS, 1, **options),
            layers.Conv2D(_FILTERS, 3, strides=2, **options),
            layers.Conv2D(num_candidates, 3, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Softmax(dtype="float32"),  # As Keras advises for mixed precision.
        ],
        name="resize_learner",
    )
