"""Which images each sub-network gets right, and how confident it is."""

import dataclasses
import json
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_resizable.utils.digests import digest_of_data
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import read_arrays, replacing

SAMPLES = "samples.npz"


@dataclasses.dataclass(frozen=True)
class SampleResults:
    """Results of sub-networks on each image of a data set.

    Args:
        configs: Configurations, as text.
        right: Boolean `(configurations, images)`, whether the label was the answer.
        confidence: float16 `(configurations, images)`, the probability of the answer.
        origin: Digests of the `network`, the `data` and the `calibration` by name.
    """

    configs: tuple[str, ...]
    right: np.ndarray
    confidence: np.ndarray
    origin: dict[str, str] = dataclasses.field(default_factory=dict)

    def right_of(self, config: str) -> np.ndarray:
        """Boolean `(images,)`, where a sub-network was right.

        `ValueError` if `config`, a text, was not evaluated.
        """
        return self.only([config]).right[0]

    def only(self, configs: Sequence[str]) -> "SampleResults":
        """Results of some of the sub-networks.

        `ValueError` if one of `configs`, texts, was not evaluated.
        """
        for config in configs:
            if config not in self.configs:
                raise ValueError(
                    f"There are no results of the sub-network {config!r}. There are "
                    f"those of {', '.join(self.configs)}."
                )
        numbers = [self.configs.index(config) for config in configs]
        return SampleResults(
            tuple(configs), self.right[numbers], self.confidence[numbers], self.origin
        )

    @property
    def oracle_top1(self) -> float:
        """The fraction of the images that at least one sub-network gets right.

        No choice of a sub-network for each image can get more right.
        """
        return float(self.right.any(axis=0).mean())


def join_samples(samples: SampleResults, others: SampleResults) -> SampleResults:
    """Results of both on the same images, of `others` where both have some."""
    require_same_images(samples, others)
    kept = samples.only([c for c in samples.configs if c not in others.configs])
    return SampleResults(
        kept.configs + others.configs,
        np.concatenate([kept.right, others.right]),
        np.concatenate([kept.confidence, others.confidence]),
        others.origin,
    )


def require_results_of(
    samples: SampleResults, dataset: tf.data.Dataset, count: int
) -> None:
    """Raises `ValueError` if results are not on the `count` images of a data set."""
    known, num_images = samples.origin.get("data"), samples.right.shape[1]
    if num_images != count or (known and known != digest_of_data(dataset)):
        raise ValueError(
            f"The results, of {num_images} images, are not of these images in this "
            f"order, which are {count}: evaluate the sub-networks with the same data "
            "set."
        )


def require_same_images(samples: SampleResults, others: SampleResults) -> None:
    """Raises `ValueError` if results are on different images."""
    count, other_count = samples.right.shape[1], others.right.shape[1]
    if count != other_count or samples.origin.get("data") != others.origin.get("data"):
        raise ValueError(
            "The results are not of the same images in the same order: they are of "
            f"{count} and of {other_count} images."
        )


def save_samples(samples: SampleResults, path: str | os.PathLike) -> None:
    """Writes results, one bit and two bytes for each image and sub-network."""
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            configs=np.array(samples.configs),
            right=np.packbits(samples.right, axis=1),
            confidence=samples.confidence,
            origin=np.array(json.dumps(samples.origin)),
        )


def load_samples(path: str | os.PathLike) -> SampleResults:
    """Reads the `samples.npz` of `build_table`.

    Args:
        path: Path of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else.
    """
    contents = read_arrays(path)
    try:
        confidence = contents["confidence"]
        configs = tuple(map(str, contents["configs"]))
        right = np.unpackbits(contents["right"], axis=1, count=confidence.shape[1])
        origin = json.loads(str(contents["origin"]))
        if not len(configs) == len(right) == len(confidence):
            raise ValueError("its parts do not fit together")
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no results of sub-networks: {error}") from error
    return SampleResults(configs, right.astype(bool), confidence, origin)


def confidence_interval(right: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of an accuracy.

    Args:
        right: Boolean `(images,)`.
        level: How often the interval should contain the true accuracy.

    Returns:
        Its lower and its upper end.

    Example:

    >>> low, high = confidence_interval([True] * 80 + [False] * 20)
    >>> f"{low:.3f} to {high:.3f}"
    '0.711 to 0.867'
    """
    stats = import_extra("scipy.stats", "search")
    counted = stats.binomtest(int(np.sum(right)), len(right))
    interval = counted.proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """The difference of two accuracies on the same images.

    Args:
        difference: The first accuracy minus the second.
        standard_error: Its standard error.
        p_value: The probability of a difference at least as far from zero if both are
            equally accurate (McNemar's exact test, two-sided).
    """

    difference: float
    standard_error: float
    p_value: float


def paired_test(right: np.ndarray, other_right: np.ndarray) -> PairedTest:
    """Compares two sub-networks on the same images.

    Only images on which exactly one is right tell them apart, so the test detects
    smaller differences than two confidence intervals do.

    Args:
        right: Boolean `(images,)`, where the first is right.
        other_right: Boolean `(images,)`, where the second is.

    Returns:
        A `PairedTest`.

    Raises:
        ValueError: If their numbers of images differ, or they are not truth values.

    Example:

    >>> test = paired_test([True] * 20 + [False] * 4, [True] * 12 + [False] * 12)
    >>> round(test.difference, 3), round(test.p_value, 4)
    (0.333, 0.0078)
    """
    for answers in (right, other_right):
        if not np.isin(answers, (0, 1)).all():
            raise ValueError(
                "A paired test needs whether each answer is right, True or False. "
                f"Received: {answers!r}"
            )
    right, other_right = np.asarray(right, bool), np.asarray(other_right, bool)
    if right.shape != other_right.shape:
        raise ValueError(
            "A paired test needs results on the same images. Received: those on "
            f"{right.size} and on {other_right.size}."
        )
    stats = import_extra("scipy.stats", "search")
    differences = right.astype(float) - other_right
    discordant = int(np.sum(right != other_right))
    p_value = 1.0
    if discordant:
        only_first = int(np.sum(right & ~other_right))
        p_value = float(stats.binomtest(only_first, discordant).pvalue)
    standard_error = differences.std() / np.sqrt(right.size)
    return PairedTest(float(differences.mean()), float(standard_error), p_value)
