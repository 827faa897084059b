"""A cheap sub-network first, and a more expensive one where it is not confident."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.adapt.base import (
    FrozenNetwork,
    flops_of_parts,
    num_shared,
    read_candidates,
)
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.samples import SampleResults
from keras_resizable.space import ConfigLike


@keras.saving.register_keras_serializable(package="keras_resizable")
class Cascade(FrozenNetwork):
    """Asks sub-networks one after the other, until one is confident.

    The confidence is the probability of the most probable class. An image whose
    confidence is below the threshold goes on to the next sub-network, from the last
    features that both have in common. `choose` finds sub-networks and threshold.

    Args:
        network: A `ResizableNetwork` that classifies, with a fixed input shape. The
            cascade keeps a frozen copy.
        candidates: Configurations, at least two, in the order in which they are asked.
        thresholds: For each but the last the least confidence to stop at.

    Call arguments:
        images: `(batch, height, width, channels)`.

    Raises:
        ValueError: If a configuration is not valid, there are fewer than two, or not
            as many thresholds as candidates but one.

    Example:

    >>> import keras_resizable
    >>> import tensorflow as tf
    >>> from keras_resizable import adapt
    >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5), classes=3)
    >>> cascade = adapt.Cascade(network, ["0.5,0.5,0.5", "1.0"], thresholds=[0.9])
    >>> cascade(tf.zeros((4, 32, 32, 3))).shape
    TensorShape([4, 3])
    """

    def __init__(
        self,
        network: ResizableNetwork,
        candidates: Iterable[ConfigLike],
        thresholds: Sequence[float],
        **kwargs: Any,
    ) -> None:
        configs = read_candidates(network, candidates)
        super().__init__(network, configs, **kwargs)
        self.thresholds = list(map(float, thresholds))
        if len(self.thresholds) != len(configs) - 1:
            raise ValueError(
                f"{len(configs)} sub-networks have {len(configs) - 1} thresholds "
                f"between them. Received: thresholds={self.thresholds}"
            )
        self._shared = [num_shared(*pair) for pair in itertools.pairwise(configs)]
        steps = [
            flops_of_parts(network, config)[shared:]
            for config, shared in zip(configs, [0, *self._shared])
        ]
        self.route_flops = list(itertools.accumulate(map(sum, steps)))
        self.built = True

    @classmethod
    def choose(
        cls, network: ResizableNetwork, samples: SampleResults, max_flops: float
    ) -> Self:
        """The cascade of two sub-networks that is the most accurate within a budget.

        Of each pair the threshold is the one that uses the budget up.

        Args:
            network: A `ResizableNetwork`.
            samples: `SampleResults` of its lookup table, on validation images: what
                `search.build_table` has left in its folder.
            max_flops: The most multiply-adds for an image, on average over these
                images.

        Raises:
            ValueError: If no two sub-networks are within the budget.

        Example::

            search.build_table(network, validation_set, folder="table")
            samples = search.load_samples("table/samples.npz")
            cascade = adapt.Cascade.choose(network, samples, max_flops=8e6)
        """
        configs = network.space.select(samples.configs)
        costs = {config: flops_of_parts(network, config) for config in configs}
        best = None
        for first, second in itertools.permutations(configs, 2):
            shared = num_shared(first, second)
            before, more = sum(costs[first]), sum(costs[second][shared:])
            if before > max_flops or sum(costs[second]) < before:
                continue
            share = (max_flops - before) / more if more else 1.0
            confidence = samples.confidence[samples.configs.index(str(first))]
            threshold = _threshold(confidence.astype(np.float32), share)
            right = np.where(
                confidence < threshold,
                samples.right_of(str(second)),
                samples.right_of(str(first)),
            )
            if best is None or right.mean() > best[0]:
                best = right.mean(), (first, second), threshold
        if best is None:
            cheapest = min(map(sum, costs.values()))
            raise ValueError(
                f"The cheapest sub-network takes {cheapest:.4g} multiply-adds. "
                f"Received: max_flops={max_flops:.4g}"
            )
        _, candidates, threshold = best
        return cls(network, candidates, [threshold])

    def run(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._answer(0, [images])

    def _answer(self, number, features):
        """What candidates from a number on answer, and the numbers of those that do."""
        features = self.run_parts(self.candidates[number], features)
        outputs = features[-1]
        routes = tf.fill(tf.shape(outputs)[:1], number)
        if number == len(self.thresholds):
            return outputs, routes
        classifier = self.network.classifier
        confidence = tf.reduce_max(classifier.probabilities(outputs), axis=-1)
        unsure = tf.where(confidence < self.thresholds[number])

        def ask_next():
            shared = features[: 1 + self._shared[number]]
            picked = [tf.gather(each, unsure[:, 0]) for each in shared]
            answers, later = self._answer(number + 1, picked)
            return (
                tf.tensor_scatter_nd_update(outputs, unsure, answers),
                tf.tensor_scatter_nd_update(routes, unsure, later),
            )

        # Convolutions on CPUs return an input of no images as it is.
        return tf.cond(tf.size(unsure) > 0, ask_next, lambda: (outputs, routes))

    def get_config(self):
        return {**super().get_config(), "thresholds": self.thresholds}


def _threshold(confidence, share):
    """Below it is at most a share of the confidences."""
    count = int(min(share, 1.0) * len(confidence))
    ordered = np.sort(confidence)
    if count == len(ordered):
        return 2.0  # More than any.
    if count == 0:
        return 0.0
    # Between two, so that rounding decides nothing.
    return float((ordered[count - 1] + ordered[count]) / 2)
