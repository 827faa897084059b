"""Configurations of a resizable network: pure Python, no TensorFlow."""

import itertools
import math
import numbers
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

# The exact fraction of a scale, times the size of a feature map, has to fit
# in 64 bits.
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
    `StageResize` uses the same formula on tensors, so that sizes agree in
    Python and in graphs, which floating point does not give.

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
    advice = (
        "Scale factors must be distinct numbers in (0, 1], such as "
        "(1.0, 0.9, 0.8, 0.7)."
    )
    if isinstance(scales, str) or not isinstance(scales, Iterable):
        raise ValueError(f"{advice} Received: scales={scales!r}")
    scales = list(scales)
    if not scales:
        raise ValueError(f"{advice} Received an empty list.")
    checked: list[float] = []
    for scale in scales:
        if isinstance(scale, bool) or not isinstance(scale, numbers.Real):
            raise ValueError(
                f"{advice} {scale!r} is not a number. Received: scales={scales}"
            )
        # Through the text: NumPy's float32 of 0.7 is meant as 0.7.
        value = float(str(scale))
        if not 0 < value <= 1:
            raise ValueError(f"{advice} {value} is outside. Received: scales={scales}")
        if fraction(value).denominator > 10**MAX_DECIMALS:
            raise ValueError(
                f"Scale factors have at most {MAX_DECIMALS} decimals, so that "
                f"sizes are exact: use {round(value, 4)} instead of {value}. "
                f"Received: scales={scales}"
            )
        if value in checked:
            raise ValueError(f"{advice} {value} is repeated. Received: scales={scales}")
        checked.append(value)
    return tuple(sorted(checked, reverse=True))


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
    >>> space.indices((0.5,))
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
        if (
            isinstance(num_stages, bool)
            or not hasattr(num_stages, "__index__")
            or num_stages < 1
        ):
            raise ValueError(
                "`num_stages` must be a positive integer. "
                f"Received: num_stages={num_stages!r}"
            )
        self.num_stages = int(num_stages)

    @property
    def size(self) -> int:
        """Number of configurations."""
        return len(self.scales) ** self.num_stages

    @property
    def largest(self) -> tuple[float, ...]:
        return self.scales[:1] * self.num_stages

    @property
    def smallest(self) -> tuple[float, ...]:
        return self.scales[-1:] * self.num_stages

    def configs(self) -> Iterator[tuple[float, ...]]:
        """All configurations, the largest first, the last stage fastest."""
        return itertools.product(self.scales, repeat=self.num_stages)

    def indices(self, config: Sequence[float]) -> tuple[int, ...]:
        """Scale indices of a configuration.

        Args:
            config: Scale factors, one per stage. Stages left out at the end
                are at the largest scale.

        Returns:
            A tuple of `num_stages` integers.

        Raises:
            ValueError: If `config` has more entries than there are stages, or
                a scale factor that is not in `scales`.
        """
        if isinstance(config, (str, numbers.Real)):
            raise ValueError(
                "A configuration is a sequence of scale factors, one per "
                f"stage, such as {self.largest}. Received: config={config!r}"
            )
        config = tuple(config)
        if len(config) > self.num_stages:
            raise ValueError(
                f"A configuration has one scale factor for each of the "
                f"{self.num_stages} stages. "
                f"Received {len(config)}: config={config}"
            )
        indices = []
        for stage, scale in enumerate(config):
            try:
                indices.append(self.scales.index(float(str(scale))))
            except ValueError:
                raise ValueError(
                    f"Scale factor {scale!r} of stage {stage} is not one of "
                    f"{self.scales}. Received: config={config}"
                ) from None
        return tuple(indices) + (0,) * (self.num_stages - len(indices))

    def config(self, indices: Iterable[int]) -> tuple[float, ...]:
        """The configuration of `num_stages` scale indices."""
        indices = tuple(int(index) for index in indices)
        if len(indices) != self.num_stages or not all(
            0 <= index < len(self.scales) for index in indices
        ):
            raise ValueError(
                f"Expected {self.num_stages} scale indices, each from 0 to "
                f"{len(self.scales) - 1}. Received: indices={indices}"
            )
        return tuple(self.scales[index] for index in indices)

    def parse(self, text: str) -> tuple[float, ...]:
        """Reads a configuration as a command line has it: `"0.75,0.5"`.

        Raises:
            ValueError: If it is not a configuration of this space.
        """
        try:
            config = [float(entry) for entry in text.split(",")]
        except ValueError:
            config = []
        if not config or not all(map(math.isfinite, config)):
            raise ValueError(
                "A configuration is written as scale factors with commas "
                f"between them, such as {self.format(self.largest)!r}, each "
                f"one of {self.scales}. Received: {text!r}"
            )
        return self.config(self.indices(config))

    def format(self, config: Sequence[float]) -> str:
        """Writes a whole configuration as `parse` reads it."""
        return ",".join(str(scale) for scale in self.config(self.indices(config)))

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
