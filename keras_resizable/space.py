"""Configurations of a resizable network: pure Python, no TensorFlow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

from keras_resizable.utils.arguments import integer

# A scale's numerator times the size of a feature map must fit in 64 bits.
MAX_DECIMALS = 9


def fraction(scale: float) -> Fraction:
    """The exact fraction that a scale factor's decimal text stands for.

    >>> from keras_resizable.space import fraction
    >>> fraction(0.7)
    Fraction(7, 10)
    """
    return Fraction(str(scale))


def resized(size: int, scale: float) -> int:
    """The size of a feature map after a resize: `size * scale`, rounded.

    It is computed in integers, halves are rounded up, and it is at least 1.
    `StageResize` uses the same formula on tensors, so that sizes in Python and in
    graphs agree; in floating point they would not.

    >>> from keras_resizable.space import resized
    >>> resized(45, 0.7)
    32
    """
    exact = fraction(scale)
    return max(
        1,
        (2 * size * exact.numerator + exact.denominator) // (2 * exact.denominator),
    )


def check_scales(scales: Iterable[float]) -> tuple[float, ...]:
    """Returns scale factors as floats, largest first, or raises `ValueError`."""
    try:
        given = list(scales)
        # Through the text, so that NumPy's float32 0.7 becomes 0.7.
        values = [float(str(scale)) for scale in given]
        is_valid = all(
            0 < value <= 1 and fraction(value).denominator <= 10**MAX_DECIMALS
            for value in values
        )
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid or isinstance(scales, str) or not 0 < len({*values}) == len(values):
        raise ValueError(
            "Scale factors must be distinct numbers in (0, 1], of at most "
            f"{MAX_DECIMALS} decimals, such as (1.0, 0.9, 0.8, 0.7). "
            f"Received: scales={given if is_valid else scales!r}"
        )
    return tuple(sorted(values, reverse=True))


def mixture(scales: Sequence[float], scale: float) -> dict[int, float]:
    """A scale factor as a mixture of its neighbours in a list.

    Outside of the list's range it is the nearest one alone.

    >>> from keras_resizable.space import mixture
    >>> mixture((1.0, 0.75, 0.5), 0.75)
    {1: 1.0}
    >>> mixture((1.0, 0.5), 0.625)
    {0: 0.25, 1: 0.75}

    Args:
        scales: Scale factors, largest first.
        scale: A scale factor.

    Returns:
        Shares, which add up to 1, by position in `scales`.
    """
    smaller = sum(other >= scale for other in scales)
    if smaller in (0, len(scales)) or scales[smaller - 1] == scale:
        return {max(smaller - 1, 0): 1.0}
    above, below = fraction(scales[smaller - 1]), fraction(scales[smaller])
    part = (fraction(scale) - below) / (above - below)
    return {smaller - 1: float(part), smaller: float(1 - part)}


class Configuration(tuple[float, ...]):
    """One scale factor per stage, a tuple of floats from `SpatialSpace.config`.

    It equals the plain tuple, and prints as command lines accept it.

    >>> from keras_resizable import SpatialSpace
    >>> config = SpatialSpace(scales=(1.0, 0.75, 0.5), num_stages=2).config("0.75")
    >>> config
    (0.75, 1.0)
    >>> print(config)
    0.75,1.0
    >>> config.indices
    (1, 0)
    >>> config.key
    '0.75_1.0'

    Attributes:
        indices: Its scale indices: the positions of its scale factors in
            `SpatialSpace.scales`.
        key: Its text in names of files and signatures.
    """

    indices: tuple[int, ...]

    def __new__(
        cls, scale_factors: Iterable[float], indices: Iterable[int] | None = None
    ) -> Configuration:
        config = super().__new__(cls, scale_factors)
        # Keras copies an attribute of a model from its values alone. Such a copy has no
        # `indices`; `SpatialSpace.config` reads it.
        if indices is not None:
            config.indices = tuple(indices)
        return config

    @property
    def key(self) -> str:
        return "_".join(map(str, self))

    def __str__(self) -> str:
        return ",".join(map(str, self))


# Accepted wherever a configuration is expected.
ConfigLike: TypeAlias = Sequence[float] | str


class SpatialSpace:
    """All configurations of a resizable network.

    A *configuration* is one scale factor per stage (Resizable Neural Networks,
    section 3.1, where it is called a spatial configuration). A *scale index* is
    the position of a scale factor in `scales`.

    >>> from keras_resizable import SpatialSpace
    >>> space = SpatialSpace(scales=(0.5, 1.0), num_stages=2)
    >>> space
    SpatialSpace(scales=(1.0, 0.5), num_stages=2)
    >>> list(space.configs())
    [(1.0, 1.0), (1.0, 0.5), (0.5, 1.0), (0.5, 0.5)]
    >>> space.config("0.5").indices
    (1, 0)

    Args:
        scales: Scale factors, distinct numbers in (0, 1] of at most 9 decimals.
            They are kept largest first.
        num_stages: Number of stages, a positive integer.

    Raises:
        ValueError: If an argument is anything else.
    """

    def __init__(self, scales: Iterable[float], num_stages: int) -> None:
        self.scales = check_scales(scales)
        self.num_stages = int(integer("num_stages", num_stages, 1))

    @property
    def size(self) -> int:
        """Number of configurations."""
        return len(self.scales) ** self.num_stages

    @property
    def largest(self) -> Configuration:
        return self.from_indices([0] * self.num_stages)

    @property
    def smallest(self) -> Configuration:
        return self.from_indices([len(self.scales) - 1] * self.num_stages)

    def configs(self) -> Iterator[Configuration]:
        """All configurations, the largest first; the last stage varies fastest."""
        rows = itertools.product(range(len(self.scales)), repeat=self.num_stages)
        return map(self.from_indices, rows)

    def config(self, config: ConfigLike) -> Configuration:
        """Reads a configuration in any form.

        Args:
            config: Scale factors, one per stage, as a sequence of numbers or as text:
                `"0.75,0.5"`. Stages omitted at the end are at the largest scale.

        Returns:
            A `Configuration`.

        Raises:
            ValueError: If it has more entries than there are stages, or a scale factor
                that is not in `scales`.

        Example:

        >>> from keras_resizable import SpatialSpace
        >>> space = SpatialSpace(scales=(1.0, 0.75, 0.5), num_stages=3)
        >>> space.config("0.75,0.5")
        (0.75, 0.5, 1.0)
        """
        values = self.factors(config)
        indices = []
        for stage, scale in enumerate(values):
            try:
                indices.append(self.scales.index(scale))
            except ValueError:
                raise ValueError(
                    f"Scale factor {scale!r} of stage {stage + 1} is not one of "
                    f"{self.scales}. Received: config={values}"
                ) from None
        return self.from_indices(indices)

    def factors(self, config: ConfigLike) -> tuple[float, ...]:
        """Reads scale factors, one per stage, that need not be in `scales`.

        Args:
            config: As in `config`.

        Raises:
            ValueError: If it has more entries than there are stages, or entries that
                are not numbers.

        Example:

        >>> from keras_resizable import SpatialSpace
        >>> SpatialSpace(scales=(1.0, 0.5), num_stages=2).factors("0.83")
        (0.83, 1.0)
        """
        try:
            parts = config.split(",") if isinstance(config, str) else config
            values = tuple(float(str(part)) for part in parts)
            is_valid = all(map(math.isfinite, values))
        except (TypeError, ValueError):
            is_valid = False
        if not is_valid or len(values) > self.num_stages:
            raise ValueError(
                "A configuration must have one scale factor for each of the "
                f"{self.num_stages} stages, such as {self.largest!r} or "
                f"{str(self.largest)!r}. Received: config={config!r}"
            )
        return values + (self.scales[0],) * (self.num_stages - len(values))

    def select(self, configs: Iterable[ConfigLike] | None) -> list[Configuration]:
        """Reads several configurations, in order and without repeats; None means all.

        Raises:
            ValueError: If `configs` is empty, or has a configuration of another space.

        Example:

        >>> from keras_resizable import SpatialSpace
        >>> space = SpatialSpace(scales=(1.0, 0.5), num_stages=2)
        >>> space.select(["1.0", (0.5,), "0.5,1.0"])
        [(1.0, 1.0), (0.5, 1.0)]
        """
        if configs is None:
            return list(self.configs())
        if isinstance(configs, str):
            configs = [configs]
        selected = list(dict.fromkeys(map(self.config, configs)))
        if not selected:
            raise ValueError("There must be at least one configuration.")
        return selected

    def from_indices(self, indices: Iterable[int]) -> Configuration:
        """The configuration of `num_stages` scale indices."""
        indices = tuple(int(index) for index in indices)
        if len(indices) != self.num_stages or not all(
            0 <= index < len(self.scales) for index in indices
        ):
            raise ValueError(
                f"Expected {self.num_stages} scale indices, each from 0 to "
                f"{len(self.scales) - 1}. Received: indices={indices}"
            )
        return Configuration((self.scales[index] for index in indices), indices)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SpatialSpace)
            and self.scales == other.scales
            and self.num_stages == other.num_stages
        )

    def __hash__(self) -> int:
        return hash((self.scales, self.num_stages))

    def __repr__(self) -> str:
        return f"SpatialSpace(scales={self.scales}, num_stages={self.num_stages})"
