import dataclasses

import numpy as np
import tensorflow as tf

from keras_resizable.adapt.adaptive_network import budget_bias


@dataclasses.dataclass(frozen=True)
class AdaptiveResults:
    """Results of an adaptive network on each image of a data set.

    Args:
        right: Boolean `(images,)`.
        routes: int32 `(images,)`, the number of the candidate.
        route_flops: FLOPs of each route.
    """

    right: np.ndarray
    routes: np.ndarray
    route_flops: list[int]

    @property
    def top1(self):
        """The accuracy, from 0 to 1."""
        return float(self.right.mean())

    @property
    def mean_flops(self):
        """FLOPs of an image on average, everything counted."""
        return float(np.take(self.route_flops, self.routes).mean())

    @property
    def shares(self):
        """The part of the images that each candidate gets."""
        return np.bincount(self.routes, minlength=len(self.route_flops)) / len(
            self.routes
        )


def evaluate(adaptive, dataset):
    """Results of an adaptive network.

    Args:
        adaptive: An `AdaptiveNetwork`.
        dataset: `tf.data.Dataset` of batches of images and integer labels.

    Returns:
        `AdaptiveResults`.

    Raises:
        ValueError: If the data set is empty.
    """
    run = tf.function(adaptive.run, reduce_retracing=True)
    rights, routes = [], []
    for images, labels in dataset:
        outputs, route = run(images)
        answers = tf.argmax(outputs, axis=-1, output_type=labels.dtype)
        rights.append(np.equal(answers, labels))
        routes.append(route.numpy())
    if not rights:
        raise ValueError("`dataset` holds no batch to evaluate with.")
    return AdaptiveResults(
        np.concatenate(rights), np.concatenate(routes), adaptive.route_flops
    )


def trade_off(probabilities, tuning_probabilities, rights, route_flops, budgets):
    """Accuracies at several budgets of FLOPs, without running anything again.

    Args:
        probabilities: What the router gives for the images to evaluate, `(images,
            candidates)`.
        tuning_probabilities: What it gives for others, to set prices with.
        rights: Boolean `(candidates, images)`, which candidates are right.
        route_flops: FLOPs of each route.
        budgets: Numbers of FLOPs of an image, on average.

    Returns:
        A list of `AdaptiveResults`, one for each budget.

    Raises:
        ValueError: If even the cheapest route takes more than a budget.
    """
    logits = np.log(np.asarray(probabilities, np.float32) + np.float32(1e-9))
    results = []
    for budget in budgets:
        bias = budget_bias(tuning_probabilities, route_flops, budget)
        routes = np.argmax(logits + bias, axis=1).astype(np.int32)
        right = np.asarray(rights)[routes, np.arange(len(routes))]
        results.append(AdaptiveResults(right, routes, list(route_flops)))
    return results
