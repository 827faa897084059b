"""Confidence intervals of shares."""

_TWO_SIDED_95 = 1.959964


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, from 0 to 1, of `count` images.

    >>> low, high = wilson_interval(0.8, 100)
    >>> f"{low:.3f} to {high:.3f}"
    '0.711 to 0.867'
    """
    part = _TWO_SIDED_95**2 / count
    spread = (part * share * (1 - share) + part**2 / 4) ** 0.5
    middle, scale = share + part / 2, 1 + part
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
