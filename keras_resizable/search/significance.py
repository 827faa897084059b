"""Tests of differences between accuracies."""

import dataclasses

import numpy as np

from keras_resizable.utils.extras import import_extra


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """The difference between two accuracies on the same images.

    Only images on which exactly one classifier is right count, so the test detects
    smaller differences than two confidence intervals do.

    Attributes:
        difference: The first accuracy minus the second.
        standard_error: Its standard error.
        p_value: The probability of a difference at least as far from zero if both are
            equally accurate (McNemar's exact test, two-sided).

    Example:

    >>> test = PairedTest.of([True] * 20 + [False] * 4, [True] * 12 + [False] * 12)
    >>> round(test.difference, 3), round(test.p_value, 4)
    (0.333, 0.0078)
    """

    difference: float
    standard_error: float
    p_value: float

    @classmethod
    def of(cls, right: np.ndarray, other_right: np.ndarray) -> "PairedTest":
        """Compares two boolean arrays `(images,)`: whether each answer is right."""
        right, other_right = np.asarray(right, bool), np.asarray(other_right, bool)
        stats = import_extra("scipy.stats", "search")
        differences = right.astype(float) - other_right
        discordant = int(np.sum(right != other_right))
        p_value = 1.0
        if discordant:
            only_first = int(np.sum(right & ~other_right))
            p_value = float(stats.binomtest(only_first, discordant).pvalue)
        standard_error = differences.std() / np.sqrt(right.size)
        return cls(float(differences.mean()), float(standard_error), p_value)

    def __str__(self) -> str:
        return (
            f"{100 * self.difference:+.2f} points, standard error "
            f"{100 * self.standard_error:.2f}, p = {self.p_value:.2g}"
        )
