"""Queries on the rows of a lookup table."""

import warnings
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pydantic
from pydantic import Field

from keras_resizable.errors import NotWithinLimitsError

if TYPE_CHECKING:
    import pandas

# Prefixes of columns; the name of a device follows.
LATENCY = "latency_ms_"
MEASURED = "measured_"
TOP1, AGREEMENT = "top1", "agreement"
Maximum = Annotated[float, Field(gt=0)] | None
Share = Annotated[float, Field(ge=0, le=1)]


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of `Table.best`; `ValueError` if one is not a number in its range."""

    max_flops: Maximum = None
    max_latency_ms: Maximum = None
    max_size_bytes: Maximum = None
    min_top1: Share | None = None
    min_agreement: Share | None = None


def score_of(rows: "pandas.DataFrame") -> str:
    """The column with the score: top-1 or, without labels, the agreement."""
    return AGREEMENT if AGREEMENT in rows else TOP1


def within_limits(
    rows: "pandas.DataFrame", limits: Limits, device: str | None
) -> tuple["pandas.DataFrame", list[str]]:
    """The rows within limits, and the cost columns with a limit."""
    score = score_of(rows)
    minima = {
        name: limit
        for name, limit in (
            (TOP1, limits.min_top1),
            (AGREEMENT, limits.min_agreement),
        )
        if limit
    }
    given = {
        "flops": limits.max_flops,
        LATENCY: limits.max_latency_ms,
        "size_bytes": limits.max_size_bytes,
    }
    maxima = {
        latency_column(rows, device) if name == LATENCY else name: limit
        for name, limit in given.items()
        if limit is not None
    }
    for name in ("flops", score, *maxima, *minima):
        _check_column(rows, name)
    rows = rows[rows[["flops", score]].notna().all(axis=1)]
    for name in maxima:
        lacking = int(rows[name].isna().sum())
        if 0 < lacking < len(rows):
            warnings.warn(
                f"{lacking} of {len(rows)} sub-networks of the table have no {name} "
                "and are not considered.",
                stacklevel=3,
            )
    rows = rows[rows[[*maxima]].notna().all(axis=1)]
    if rows.empty:
        raise ValueError(
            f"No sub-network of the table has {' and '.join([score, *maxima])}."
        )
    # How far each row exceeds each limit, relative to the limit.
    beyond = {name: rows[name] / limit - 1 for name, limit in maxima.items()}
    beyond |= {name: 1 - rows[name] / limit for name, limit in minima.items()}
    furthest = np.max([np.full(len(rows), -1.0), *beyond.values()], axis=0)
    within = rows[furthest <= 0]
    if within.empty:
        nearest = rows.iloc[furthest.argmin()]
        wanted = [f"{name} of at most {limit:.4g}" for name, limit in maxima.items()]
        wanted += [f"{name} of at least {limit:.4g}" for name, limit in minima.items()]
        has = ", ".join(f"{name} {nearest[name]:.4g}" for name in beyond)
        raise NotWithinLimitsError(
            f"No sub-network has {' and '.join(wanted)}. The nearest is "
            f"{nearest['config']!r}: {has}."
        )
    return within, list(maxima)


def pareto_front(rows: "pandas.DataFrame", cost: str) -> "pandas.DataFrame":
    """See `Table.front`."""
    score = score_of(rows)
    for name in (cost, score):
        _check_column(rows, name)
    rows = rows[rows[[cost, score]].notna().all(axis=1)]
    rows = rows.sort_values([cost, score], ascending=[True, False])
    highest_before = rows[score].cummax().shift(fill_value=-1.0)
    return rows[rows[score] > highest_before]


def main_effects(rows: "pandas.DataFrame", column: str) -> list[dict[float, float]]:
    """See `Table.main_effects`.

    >>> import pandas
    >>> configs = ["1.0,1.0", "1.0,0.5", "0.5,1.0", "0.5,0.5"]
    >>> rows = pandas.DataFrame({"config": configs, "flops": [8, 6, 4, 2]})
    >>> main_effects(rows, "flops")
    [{0.5: 3.0, 1.0: 7.0}, {0.5: 4.0, 1.0: 6.0}]
    """
    _check_column(rows, column)
    factors = np.array([str(config).split(",") for config in rows["config"]], float)
    values = rows[column].to_numpy(float)
    return [
        {float(scale): float(values[own == scale].mean()) for scale in np.unique(own)}
        for own in factors.T
    ]


def devices_of(rows: "pandas.DataFrame") -> list[str]:
    """Names of the devices whose latencies a table has."""
    return [
        name.removeprefix(LATENCY) for name in rows.columns if name.startswith(LATENCY)
    ]


def latency_column(rows: "pandas.DataFrame", device: str | None = None) -> str:
    """The column of a device's latency; by default the only device's."""
    known = devices_of(rows)
    if device is None and len(known) == 1:
        device = known[0]
    if device not in known:
        raise ValueError(
            f"The table has latencies of {', '.join(known) or 'no device'}. "
            f"Received: device={device!r}"
        )
    return LATENCY + device


def _check_column(rows, name):
    if name not in rows:
        raise ValueError(f"The table has no {name!r}. It has {', '.join(rows)}.")
