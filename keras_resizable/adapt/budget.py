"""Keeping a router to a budget of FLOPs."""

from collections.abc import Sequence

import numpy as np

_HIGHEST_PRICE = 1e3  # Of the dearest route over the cheapest, in log-probability.
_BISECTIONS = 50
_MARGIN = 1e-3  # In log-probability; rounding is a thousandth of it.


def budget_bias(
    probabilities: np.ndarray, route_flops: Sequence[float], max_flops: float
) -> np.ndarray:
    """What to add to a router's log-probabilities to stay within mean FLOPs.

    A price per FLOP, of either sign, the same for all images: the lowest that keeps
    within the budget, and a little more, so that rounding decides nothing where a
    router runs as another program.

    Args:
        probabilities: `(images, candidates)`.
        route_flops: FLOPs of each route.
        max_flops: The most FLOPs of an image, on their average.

    Returns:
        `(candidates,)`.

    Raises:
        ValueError: If even the cheapest route takes more, or a probability is NaN.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("The router's probabilities are not finite on some images.")
    costs = np.asarray(route_flops, float)
    cheapest = costs.min()
    if max_flops < cheapest:
        raise ValueError(
            f"The cheapest route takes {cheapest:.4g} FLOPs. "
            f"Received: max_flops={max_flops:.4g}"
        )
    logits = np.log(np.asarray(probabilities, np.float32) + np.float32(1e-9))
    parts = (costs - cheapest) / (np.ptp(costs) or 1.0)

    def bias_of(price):
        return (-price * parts).astype(np.float32)

    def mean_flops(bias):
        return costs[np.argmax(logits + bias, axis=1)].mean()

    low, high = -_HIGHEST_PRICE, _HIGHEST_PRICE
    if mean_flops(bias_of(high)) > max_flops:  # Two routes cost nearly the same.
        return np.where(costs > cheapest, -high, 0.0).astype(np.float32)
    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        if mean_flops(bias_of(price)) > max_flops:
            low = price
        else:
            high = price
    # Halfway, at most, to the price at which an image takes a cheaper route.
    every = np.arange(len(logits))
    taken = np.argmax(logits + bias_of(high), axis=1)
    saved = parts[taken, np.newaxis] - parts
    lost = logits[every, taken][:, np.newaxis] - logits
    at = np.divide(lost, saved, where=saved > 0, out=np.full(saved.shape, np.inf))
    return bias_of(high + min(_MARGIN, max(0.0, at.min() - high) / 2))
