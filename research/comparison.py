"""Compares trainings that were repeated with several seeds."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resizable.search import PairedTest
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

if TYPE_CHECKING:
    import pandas


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A sub-network that was trained in some way, and its baseline.

    Args:
        arm: The training method.
        config: The configuration, as text.
        rights: Boolean `(seeds, images)`, whether the sub-network is right.
        raw: Accuracies with the batch statistics from training, for each seed, or None.
        against: The training method of the baseline, or None.
        other_rights: Boolean `(seeds, images)`, whether the baseline is right.
    """

    arm: str
    config: str
    rights: Any
    raw: list | None = None
    against: str | None = None
    other_rights: Any = None


def comparison_table(comparisons: Iterable[Comparison]) -> "pandas.DataFrame":
    """The accuracies of trainings, and their differences.

    Args:
        comparisons: `Comparison`s, each with the same number of seeds.

    Returns:
        A `pandas.DataFrame` with a row for each comparison: `arm`, `config`,
        `top1_raw`, `top1` (means over seeds), `spread` (standard deviation of `top1`
        between seeds), `against`, `difference`, `standard_error`, `p_value` (see
        `compare_seeds`), and `top1_0`, `top1_1` … for the individual seeds.

    Raises:
        ImportError: If the extra `search` is not installed.
    """
    pandas = import_extra("pandas", "search")
    return pandas.DataFrame([_line(comparison) for comparison in comparisons])


def _line(comparison):
    means = np.mean(comparison.rights, axis=1)
    raw, against = comparison.raw, comparison.against
    test = PairedTest(np.nan, np.nan, np.nan)
    if against is not None:
        test = compare_seeds(comparison.rights, comparison.other_rights)
    return {
        "arm": comparison.arm,
        "config": comparison.config,
        "top1_raw": np.nan if raw is None else np.mean(raw),
        "top1": means.mean(),
        "spread": means.std(ddof=1) if len(means) > 1 else np.nan,
        "against": against or "",
        **dataclasses.asdict(test),
        **{f"top1_{number}": mean for number, mean in enumerate(means)},
    }


def compare_seeds(
    rights: Sequence[np.ndarray] | np.ndarray,
    other_rights: Sequence[np.ndarray] | np.ndarray,
) -> PairedTest:
    """The difference between the accuracies of two trainings on the same images.

    Seeds are averaged for each image, and the images are the sample: the result
    estimates the difference on other images, with these seeds.

    Args:
        rights: Boolean `(seeds, images)`, whether the first is right.
        other_rights: The same for the second, with the same number of seeds.

    Returns:
        A `PairedTest`, from a two-sided test with the normal distribution.

    Raises:
        ValueError: If the shapes differ.
        ImportError: If the extra `search` is not installed.
    """
    rights, other_rights = np.asarray(rights, float), np.asarray(other_rights, float)
    if rights.shape != other_rights.shape or rights.ndim != 2:
        raise ValueError(
            "Both need results (seeds, images) on the same images. Received: "
            f"{rights.shape} and {other_rights.shape}."
        )
    stats = import_extra("scipy.stats", "search")
    differences = (rights - other_rights).mean(axis=0)
    difference = float(differences.mean())
    error = float(differences.std() / differences.size**0.5)
    p_value = 1.0 if difference == 0 else 2 * stats.norm.sf(abs(difference) / error)
    return PairedTest(difference, error, float(p_value))


def plot_comparison(
    table: "pandas.DataFrame", path: str | os.PathLike, title: str
) -> None:
    """Plots the accuracies of trainings, with a dot for each seed.

    Args:
        table: A `pandas.DataFrame` with the columns `arm`, `config` and `top1`, and
            `top1_0`, `top1_1` … for the individual seeds, from 0 to 1.
        path: Path of a `.png` file. An existing one is replaced.
        title: Title of the figure.

    Raises:
        ImportError: If the extra `search` is not installed.
    """
    figure_module = import_extra("matplotlib.figure", "search")
    seeds = [name for name in table if name.startswith("top1_") and name[5:].isdigit()]
    figure = figure_module.Figure(
        figsize=(8, 1.2 + 0.28 * len(table)), layout="constrained"
    )
    axes = figure.subplots()
    configs = list(dict.fromkeys(table["config"]))
    for number, row in enumerate(table.itertuples(index=False)):
        color = f"C{configs.index(row.config)}"
        values = [100 * getattr(row, seed) for seed in seeds]
        axes.plot(values, [number] * len(values), "o", color=color, alpha=0.4)
        axes.plot(100 * row.top1, number, "|", color=color, markersize=16)
    labels = [f"{row.arm}   {row.config}" for row in table.itertuples(index=False)]
    axes.set_yticks(range(len(table)), labels, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("top-1, %; a dot for each seed, a bar for their mean")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    axes.grid(axis="x", alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
