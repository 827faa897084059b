"""Evaluating adaptive networks."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_resizable import search
from keras_resizable.adapt.adaptive_network import AdaptiveNetwork, budget_bias
from keras_resizable.utils.batches import (
    Batches,
    check_not_empty,
    labelled_batches,
    watched,
)
from keras_resizable.utils.digests import DataDigest
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.graph import as_graph
from keras_resizable.utils.outputs import check_labels, integer_labels

if TYPE_CHECKING:
    import pandas


@dataclasses.dataclass(frozen=True)
class AdaptiveResults:
    """Results of an adaptive network on each image of a data set.

    Args:
        right: Boolean `(images,)`.
        routes: int32 `(images,)`, the number of the candidate.
        route_flops: FLOPs of each route.
        data: A digest of the images, as `SampleResults.origin` has it; None if not
            known.
    """

    right: np.ndarray
    routes: np.ndarray
    route_flops: list[int]
    data: str | None = None

    @property
    def top1(self) -> float:
        """The accuracy, from 0 to 1."""
        return float(self.right.mean())

    @property
    def mean_flops(self) -> float:
        """FLOPs of an image on average, everything counted."""
        return float(np.take(self.route_flops, self.routes).mean())

    @property
    def shares(self) -> np.ndarray:
        """The part of the images that each candidate gets."""
        return np.bincount(self.routes, minlength=len(self.route_flops)) / len(
            self.routes
        )


def evaluate(adaptive: AdaptiveNetwork, dataset: Batches) -> AdaptiveResults:
    """Results of an adaptive network.

    Args:
        adaptive: An `AdaptiveNetwork`.
        dataset: `tf.data.Dataset` of batches of images and integer labels.

    Returns:
        `AdaptiveResults`.

    Raises:
        ValueError: If the data set is empty or never ends.
    """
    run = as_graph(adaptive.run)
    rights, routes, seen = [], [], DataDigest()
    classifier = adaptive.network.classifier
    batches = labelled_batches(dataset, adaptive.network)
    for images, labels in watched(batches, "dataset"):
        seen.add((images, labels))
        check_labels(labels, classifier.num_outputs)
        outputs, route = run(images)
        right = classifier.is_right(outputs, integer_labels(labels))
        rights.append(right.numpy())
        routes.append(route.numpy())
    check_not_empty(len(rights), "dataset")
    return AdaptiveResults(
        np.concatenate(rights),
        np.concatenate(routes),
        adaptive.route_flops,
        seen.text(),
    )


def trade_off(
    probabilities: np.ndarray,
    tuning_probabilities: np.ndarray,
    rights: np.ndarray,
    route_flops: Sequence[int],
    *,
    num_budgets: int = 12,
) -> list[AdaptiveResults]:
    """Accuracies at several budgets of FLOPs, without running anything again.

    The budgets are evenly spaced from the FLOPs of the cheapest route to those of the
    most expensive one.

    Args:
        probabilities: The router's outputs for the images to evaluate, `(images,
            candidates)`.
        tuning_probabilities: Its outputs for other images, to set prices with.
        rights: Boolean `(candidates, images)`, which candidates are right.
        route_flops: FLOPs of each route.
        num_budgets: How many.

    Returns:
        A list of `AdaptiveResults`, one for each budget.

    Raises:
        ValueError: If the numbers of images in `probabilities` and `rights` differ.
    """
    rights = np.asarray(rights)
    if rights.shape != np.shape(probabilities)[::-1]:
        raise ValueError(
            "`rights` is of (candidates, images), `probabilities` of (images, "
            f"candidates). Received: {rights.shape} and {np.shape(probabilities)}"
        )
    logits = np.log(np.asarray(probabilities, np.float32) + np.float32(1e-9))
    results = []
    for budget in np.linspace(min(route_flops), max(route_flops), num_budgets):
        bias = budget_bias(tuning_probabilities, route_flops, budget)
        routes = np.argmax(logits + bias, axis=1).astype(np.int32)
        right = rights[routes, np.arange(len(routes))]
        results.append(AdaptiveResults(right, routes, list(route_flops)))
    return results


def trade_off_table(
    results: Iterable[AdaptiveResults],
    table: "pandas.DataFrame",
    samples: search.SampleResults,
) -> "pandas.DataFrame":
    """Compares adaptive inference with fixed sub-networks of equal FLOPs.

    Args:
        results: `AdaptiveResults` at several budgets, of the images of `samples`.
        table: The lookup table of the network, by which fixed ones are chosen.
        samples: The `SampleResults` of its sub-networks: those beside it, or of images
            that nothing was chosen with.

    Returns:
        A `pandas.DataFrame` with a row for each budget: `flops`, the mean of an image;
        `top1`; `fixed`, the most accurate sub-network of at most these FLOPs, and
        `fixed_top1`; `difference`, `standard_error` and `p_value` of `paired_test`; and
        `shares`, the parts of the images that the candidates get.

    Raises:
        ValueError: If they are not of the same images.
        ImportError: If the extra `search` is not installed.
    """
    pandas = import_extra("pandas", "search")
    lines = []
    data = samples.origin.get("data")
    for result in results:
        if None not in (data, result.data) and data != result.data:
            raise ValueError(
                "The results of the adaptive network are not of the images that the "
                "table's are of."
            )
        fixed = table[table["flops"] <= result.mean_flops]
        if fixed.empty:  # Routing alone costs more than the cheapest sub-network.
            fixed = table[table["flops"] == table["flops"].min()]
        best = fixed.loc[fixed["top1"].idxmax()]
        right = samples.right_of(best["config"])
        test = search.paired_test(result.right, right)
        lines.append(
            {
                "flops": result.mean_flops,
                "top1": result.top1,
                "fixed": best["config"],
                "fixed_top1": right.mean(),
                **dataclasses.asdict(test),
                "shares": " ".join(f"{share:.3f}" for share in result.shares),
            }
        )
    return pandas.DataFrame(lines)
