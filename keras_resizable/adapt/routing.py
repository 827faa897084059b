"""What a router learns: its candidates, its targets and its loss."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.adapt.adaptive_network import AdaptiveNetwork
from keras_resizable.search.samples import SampleResults, require_results_of
from keras_resizable.utils.batches import Batches, labelled_batches

_SHUFFLED_BYTES = 256e6
_BATCH_SIZE = 128


def choose_candidates(
    samples: SampleResults, flops: Mapping[str, float], target: str, *, count: int
) -> list[str]:
    """Sub-networks that complement each other, of at most the target's FLOPs.

    Starts with the target and adds, one at a time, the sub-network that is right on
    the most images that no chosen one gets right; ties go to the cheapest.

    Args:
        samples: `SampleResults` of training images.
        flops: Dictionary from configurations, as text, to their FLOPs.
        target: The target's configuration, as text.
        count: How many candidates, the target included.

    Returns:
        Configurations as text, by their FLOPs, the cheapest first.

    Raises:
        ValueError: If too few sub-networks have at most the target's FLOPs.
    """
    cheap = sorted(
        (config for config in samples.configs if flops[config] <= flops[target]),
        key=lambda config: flops[config],
    )
    if not 2 <= count <= len(cheap):
        raise ValueError(
            f"There are {len(cheap)} sub-networks of at most the FLOPs of {target}, "
            "and a router chooses from at least 2: with a dearer target (--config of "
            f"train/adapt.py) there are more. Received: {count}"
        )
    chosen = [target]
    covered = samples.right_of(target)
    while len(chosen) < count:
        left = [config for config in cheap if config not in chosen]
        best = max(left, key=lambda c: np.sum(samples.right_of(c) & ~covered))
        chosen.append(best)
        covered = covered | samples.right_of(best)
    return sorted(chosen, key=lambda config: flops[config])


def routing_targets(rights: np.ndarray) -> np.ndarray:
    """For each image the candidate to route it to.

    The cheapest that is right on it; if none is, the most expensive, the target
    (Resizable Neural Networks, section 3.5; that ties go to the cheapest is ours).

    Args:
        rights: Boolean `(candidates, images)`, in the order of
            `AdaptiveNetwork.candidates`, the cheapest route first.

    Returns:
        int32 `(images,)`.
    """
    rights = np.array(rights, bool)
    rights[-1] = True
    return np.argmax(rights, axis=0).astype(np.int32)


@keras.saving.register_keras_serializable(package="keras_resizable")
class RoutingLoss(keras.losses.Loss):
    """Cross-entropy with the routing targets, and a price of FLOPs.

    Args:
        flops: FLOPs of each route, the cheapest candidate first.
        flops_weight: Weight of the expected FLOPs, as a fraction of the most expensive
            route's. A higher weight sends more images to cheap sub-networks.
    """

    def __init__(
        self,
        flops: Iterable[float],
        flops_weight: float = 0.0,
        name: str = "routing_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.flops = [float(value) for value in flops]
        self.flops_weight = float(flops_weight)

    def call(self, y_true, y_pred):
        loss = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        parts = keras.ops.convert_to_tensor(self.flops, y_pred.dtype) / max(self.flops)
        return loss + self.flops_weight * keras.ops.sum(parts * y_pred, axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "flops": self.flops,
            "flops_weight": self.flops_weight,
        }


def fit_router(
    adaptive: AdaptiveNetwork,
    dataset: Batches,
    samples: SampleResults,
    *,
    flops_weight: float = 0.0,
    epochs: int = 20,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> keras.Model:
    """Trains the router of an adaptive network, by Adam, on `routing_targets`.

    Args:
        adaptive: An `AdaptiveNetwork`.
        dataset: `tf.data.Dataset` of batches of images and labels, in the same order
            whenever it is read.
        samples: `SampleResults` of the candidates on these images: what `build_table`
            has left in its folder when it was given this data set.
        flops_weight: See `RoutingLoss`.
        epochs: Passes over the images.
        learning_rate: Initial learning rate. It falls to zero along a cosine.
        seed: Seed of the images' order.

    Returns:
        The router, `adaptive.router()`, which shares its weights with `adaptive`.

    Raises:
        ValueError: If the results lack a candidate, or are for other images.
    """
    names = map(str, adaptive.candidates)
    targets = routing_targets(samples.only(list(names)).right)
    dataset = labelled_batches(dataset, adaptive.network)
    num_images = sum(len(labels) for _, labels in dataset)
    require_results_of(samples, dataset, num_images)
    router = adaptive.router()
    steps = -(-len(targets) // _BATCH_SIZE)
    router.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
        ),
        RoutingLoss(adaptive.route_flops, flops_weight),
        metrics=["accuracy"],
    )
    images = dataset.map(lambda images, labels: images).unbatch()
    image_bytes = 4 * np.prod(router.input_shape[1:])
    buffer_size = max(_BATCH_SIZE, int(_SHUFFLED_BYTES / image_bytes))
    labelled = tf.data.Dataset.zip(images, tf.data.Dataset.from_tensor_slices(targets))
    labelled = labelled.shuffle(min(len(targets), buffer_size), seed)
    labelled = labelled.batch(_BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    labelled = labelled.apply(tf.data.experimental.assert_cardinality(steps))
    router.fit(labelled, epochs=epochs, verbose=2, shuffle=False)
    return router
