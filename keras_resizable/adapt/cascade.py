"""Cascades: a cheap sub-network first, a more expensive one where it is unsure."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.adapt.base import Candidates, cost_of, num_shared
from keras_resizable.network import ResizableNetwork
from keras_resizable.search import Table
from keras_resizable.space import ConfigLike


@keras.saving.register_keras_serializable(package="keras_resizable")
class Cascade(Candidates):
    """Runs one sub-network after the other until one is confident.

    The confidence is the probability of the most probable class. An image whose
    confidence is below the threshold continues to the next sub-network, from the last
    features that both share. `choose` finds sub-networks and threshold.

    Args:
        network: A `ResizableNetwork` that classifies, with a fixed input shape. The
            cascade keeps frozen copies of the parts that its candidates run.
        candidates: Two or more configurations, in the order in which they run.
        thresholds: The minimum confidence to stop at, for each candidate but the last.

    Raises:
        ValueError: If a configuration or the number of thresholds is not valid.

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
        super().__init__(network, candidates, **kwargs)
        configs = self.candidates
        self.thresholds = list(map(float, thresholds))
        if len(self.thresholds) != len(configs) - 1:
            raise ValueError(
                f"{len(configs)} sub-networks have {len(configs) - 1} thresholds "
                f"between them. Received: thresholds={self.thresholds}"
            )
        cost = cost_of(network, configs)
        steps = [cost(two, after=one) for one, two in itertools.pairwise(configs)]
        self.route_flops = list(itertools.accumulate([cost(configs[0]), *steps]))
        self.built = True

    @classmethod
    def choose(cls, network: ResizableNetwork, table: Table, max_flops: float) -> Self:
        """The most accurate cascade of two sub-networks within a budget.

        The threshold of each pair is the one that uses up the budget.

        Args:
            network: A `ResizableNetwork`.
            table: Its lookup table on validation images, from `search.build_table`.
            max_flops: Maximum multiply-adds for an image, on average over these images.

        Raises:
            ValueError: If no two sub-networks are within the budget.

        Example::

            table = search.build_table(network, validation_set)
            cascade = adapt.Cascade.choose(network, table, max_flops=8e6)
        """
        configs = network.space.select(table.results)
        cost = cost_of(network, configs)
        best, choice = -1.0, None
        for first, second in itertools.permutations(configs, 2):
            before, more = cost(first), cost(second, after=first)
            if before > max_flops or cost(second) < before:
                continue
            share = (max_flops - before) / more if more else 1.0
            confidence = table.confidence(first).astype(np.float32)
            threshold = _threshold(confidence, share)
            is_unsure = confidence < threshold
            right = np.where(is_unsure, table.right(second), table.right(first))
            top1 = right.mean()
            if top1 > best:
                best, choice = top1, ((first, second), [threshold])
        if choice is None:
            raise ValueError(
                f"The cheapest sub-network takes {min(map(cost, configs)):.4g} FLOPs. "
                f"Received: max_flops={max_flops:.4g}"
            )
        return cls(network, *choice)

    def run(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._answer(0, [images])

    def _answer(self, number, features):
        """Outputs of the candidates from `number` on, and each image's candidate."""
        features = self.run_parts(self.candidates[number], features)
        outputs = features[-1]
        routes = tf.fill(tf.shape(outputs)[:1], number)
        if number == len(self.thresholds):
            return outputs, routes
        probabilities = self.classifier.probabilities(outputs)
        confidence = tf.reduce_max(probabilities, axis=-1)
        unsure = tf.where(confidence < self.thresholds[number])

        def ask_next():
            shared = num_shared(*self.candidates[number : number + 2])
            picked = [tf.gather(each, unsure[:, 0]) for each in features[: 1 + shared]]
            answers, later = self._answer(number + 1, picked)
            return (
                tf.tensor_scatter_nd_update(outputs, unsure, answers),
                tf.tensor_scatter_nd_update(routes, unsure, later),
            )

        # Convolutions on CPUs return an input of no images unchanged.
        return tf.cond(tf.size(unsure) > 0, ask_next, lambda: (outputs, routes))

    def signatures(self) -> list[tuple[str, keras.Model, dict[str, Any]]]:
        signatures = super().signatures()
        signatures[0][2]["thresholds"] = self.thresholds
        return signatures

    def get_config(self):
        return {**super().get_config(), "thresholds": self.thresholds}


def _threshold(confidence, share):
    """The greatest threshold with at most a share of the confidences below it."""
    count = int(min(share, 1.0) * len(confidence))
    ordered = np.concatenate([[0.0], np.sort(confidence), [4.0]])
    if count == 0:
        return 0.0
    return float(ordered[count : count + 2].mean())  # Between two: safe to round.
