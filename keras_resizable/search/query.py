"""Queries on the lookup table: the best row within limits, and the Pareto front."""

import numbers
import warnings
from typing import TYPE_CHECKING

import numpy as np

from keras_resizable.search.image_results import SampleResults, paired_test
from keras_resizable.search.table import LATENCY

if TYPE_CHECKING:
    import pandas


def best(
    table: "pandas.DataFrame",
    *,
    max_flops: float | None = None,
    max_latency_ms: float | None = None,
    max_size_bytes: float | None = None,
    min_top1: float | None = None,
    device: str | None = None,
    as_good_in: SampleResults | None = None,
    confidence: float = 0.95,
) -> "pandas.Series":
    """The best sub-network within limits.

    The most accurate one; or, if the only limit is `min_top1`, the one with the fewest
    FLOPs. FLOPs, or accuracy, decide between equals. The most accurate of many on few
    images is partly the luckiest: `as_good_in` gives the cheapest that is not worse.

    Args:
        table: A table of `build_table`.
        max_flops: Multiply-adds.
        max_latency_ms: Milliseconds on a device.
        max_size_bytes: Size of the `.tflite` file.
        min_top1: Accuracy, from 0 to 1.
        device: Name of the device of `max_latency_ms`; the table's only one if absent.
        as_good_in: `SampleResults` of the table: takes the cheapest, by the columns
            with a limit or else by FLOPs, that is as good as the most accurate one by
            `paired_test`.
        confidence: Confidence, from 0 to 1, with which that test calls one worse.

    Returns:
        The row of the table, a `pandas.Series`.

    Raises:
        ValueError: If no sub-network is within the limits, or the table lacks the
            column for a limit.

    Warns:
        UserWarning: If rows are not considered, as they have no value for a limit.

    Example:

    >>> import pandas
    >>> table = pandas.DataFrame({"flops": [4, 2, 1], "top1": [0.9, 0.7, 0.8]})
    >>> float(best(table, max_flops=3)["top1"])
    0.8
    """
    check_limits(
        max_flops=max_flops,
        max_latency_ms=max_latency_ms,
        max_size_bytes=max_size_bytes,
        min_top1=min_top1,
    )
    given = {"flops": max_flops, LATENCY: max_latency_ms, "size_bytes": max_size_bytes}
    maxima = {
        latency_column(table, device) if name == LATENCY else name: limit
        for name, limit in given.items()
        if limit is not None
    }
    for name in ("flops", "top1", *maxima):
        _check_column(table, name)
    table = table[table[["flops", "top1"]].notna().all(axis=1)].reset_index(drop=True)
    for name in maxima:
        lacking = int(table[name].isna().sum())
        if 0 < lacking < len(table):
            warnings.warn(
                f"{lacking} of {len(table)} sub-networks of the table have no {name} "
                "and are not considered.",
                stacklevel=2,
            )
    table = table[table[[*maxima]].notna().all(axis=1)]
    if table.empty:
        raise ValueError(
            f"No sub-network of the table has {' and '.join(['top1', *maxima])}."
        )
    # How far each row is beyond each limit, as a share of it.
    beyond = {name: table[name] / limit - 1 for name, limit in maxima.items()}
    if min_top1:
        beyond["top1"] = 1 - table["top1"] / min_top1
    furthest = np.max([np.full(len(table), -1.0), *beyond.values()], axis=0)
    within = table[furthest <= 0]
    if within.empty:
        nearest = table.iloc[furthest.argmin()]
        limits = [f"{name} of at most {limit:.4g}" for name, limit in maxima.items()]
        if min_top1:
            limits.append(f"top1 of at least {min_top1:.4g}")
        has = ", ".join(f"{name} {nearest[name]:.4g}" for name in beyond)
        raise ValueError(
            f"No sub-network has {' and '.join(limits)}. The nearest is "
            f"{nearest['config']!r}: {has}."
        )
    order, ascending = ["top1", "flops"], [False, True]
    if not maxima and min_top1 is not None and as_good_in is None:
        order, ascending = order[::-1], ascending[::-1]
    row = within.sort_values(order, ascending=ascending).iloc[0]
    if as_good_in is None:
        return row
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` is between 0 and 1. Received: {confidence}")
    right = as_good_in.right_of(row["config"])
    for _, other in within.sort_values([*maxima, "flops"]).iterrows():
        test = paired_test(right, as_good_in.right_of(other["config"]))
        if test.difference <= 0 or test.p_value > 1 - confidence:
            return other
    return row


def check_limits(
    *,
    max_flops: float | None = None,
    max_latency_ms: float | None = None,
    max_size_bytes: float | None = None,
    min_top1: float | None = None,
) -> None:
    """Raises `ValueError` if a limit of `best` is not a number in its range."""
    maxima = {
        "max_flops": max_flops,
        "max_latency_ms": max_latency_ms,
        "max_size_bytes": max_size_bytes,
    }
    for name, limit in maxima.items():
        if limit is not None and not (isinstance(limit, numbers.Real) and limit > 0):
            raise ValueError(f"`{name}` is a number above 0. Received: {limit!r}")
    if min_top1 is None:
        return
    if not (isinstance(min_top1, numbers.Real) and 0 <= min_top1 <= 1):
        raise ValueError(f"`min_top1` is from 0 to 1. Received: {min_top1!r}")


def pareto_front(table: "pandas.DataFrame", cost: str = "flops") -> "pandas.DataFrame":
    """The sub-networks for which no other is both cheaper and as accurate.

    Args:
        table: A table of `build_table`.
        cost: Column to be low: `"flops"`, `"size_bytes"`, `"latency_ms_host"`, ...

    Returns:
        Rows of the table, the cheapest first; each is more accurate than those
        before it. Rows without the cost or the accuracy are skipped.

    Raises:
        ValueError: If the table has no such column.

    Example:

    >>> import pandas
    >>> table = pandas.DataFrame({"flops": [4, 2, 1], "top1": [0.9, 0.7, 0.8]})
    >>> pareto_front(table)["flops"].tolist()
    [1, 4]
    """
    for name in (cost, "top1"):
        _check_column(table, name)
    rows = table[table[[cost, "top1"]].notna().all(axis=1)]
    rows = rows.sort_values([cost, "top1"], ascending=[True, False])
    highest_before = rows["top1"].cummax().shift(fill_value=-1.0)
    return rows[rows["top1"] > highest_before]


def main_effects(
    table: "pandas.DataFrame", column: str = "top1"
) -> list[dict[float, float]]:
    """The effect of each stage's scale factor, as a mean over all other stages.

    The table has to hold all sub-networks, or an even sample of them.

    Args:
        table: A table of `build_table`.
        column: `"top1"`, `"flops"`, `"latency_ms_host"`, ...

    Returns:
        For each stage, the mean of the rows with a scale factor, by scale factor.

    Raises:
        ValueError: If the table is empty or lacks the column.

    Example:

    >>> import pandas
    >>> configs = ["1.0,1.0", "1.0,0.5", "0.5,1.0", "0.5,0.5"]
    >>> table = pandas.DataFrame({"config": configs, "flops": [8, 6, 4, 2]})
    >>> main_effects(table, "flops")
    [{0.5: 3.0, 1.0: 7.0}, {0.5: 4.0, 1.0: 6.0}]
    """
    _check_column(table, column)
    if table.empty:
        raise ValueError("The table has no rows.")
    factors = np.array([str(config).split(",") for config in table["config"]], float)
    values = table[column].to_numpy(float)
    return [
        {float(scale): float(values[own == scale].mean()) for scale in np.unique(own)}
        for own in factors.T
    ]


def devices_of(table: "pandas.DataFrame") -> list[str]:
    """Names of the devices whose latencies a table has."""
    return [
        name.removeprefix(LATENCY) for name in table.columns if name.startswith(LATENCY)
    ]


def latency_column(table: "pandas.DataFrame", device: str | None = None) -> str:
    """The column of a device's latency; of the only device if none is given."""
    known = devices_of(table)
    if device is None and len(known) == 1:
        device = known[0]
    if device not in known:
        raise ValueError(
            f"The table has latencies of {', '.join(known) or 'no device'}. "
            f"Received: device={device!r}"
        )
    return LATENCY + device


def _check_column(table, name):
    if name not in table:
        raise ValueError(
            f"The table has no {name!r}. It has {', '.join(table.columns)}."
        )
