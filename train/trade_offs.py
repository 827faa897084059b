"""Trade-offs of adaptive inference, of several seeds."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

if TYPE_CHECKING:
    import pandas


def join_trade_offs(
    paths: Mapping[str, Iterable[str | os.PathLike]],
) -> "pandas.DataFrame":
    """The means of several seeds' trade-offs, budget by budget.

    Args:
        paths: Dictionary from a name to the paths of files of `trade_off_table`, one
            for each seed. Their first rows, which have no budget of the range, are left
            out.

    Returns:
        A `pandas.DataFrame`: `arm`, the name; `flops`, `top1`, `fixed_top1` and
        `difference`, means over seeds; `spread`, the standard deviation of `difference`
        between them.

    Raises:
        ImportError: If the extra `search` is not installed.
    """
    pandas = import_extra("pandas", "search")
    columns = ["flops", "top1", "fixed_top1", "difference"]
    joined = []
    for name, seeds in paths.items():
        tables = [pandas.read_csv(path).iloc[1:][columns] for path in seeds]
        by_budget = pandas.concat(tables).groupby(level=0)
        means = by_budget.mean()
        means.insert(0, "arm", name)
        means["spread"] = by_budget["difference"].std()
        joined.append(means)
    return pandas.concat(joined, ignore_index=True)


def plot_trade_offs(
    table: "pandas.DataFrame", path: str | os.PathLike, title: str
) -> None:
    """Draws how much better adaptive inference is than fixed sub-networks.

    Args:
        table: A table of `join_trade_offs`.
        path: Path of a `.png` file. An existing one is replaced.
        title: What to write above.

    Raises:
        ImportError: If the extra `search` is not installed.
    """
    figure = import_extra("matplotlib.figure", "search").Figure(
        figsize=(8, 4), layout="constrained"
    )
    axes = figure.subplots()
    for name, rows in table.groupby("arm", sort=False):
        axes.errorbar(
            rows["flops"] / 1e6,
            100 * rows["difference"],
            100 * rows["spread"],
            marker=".",
            capsize=2,
            label=name,
        )
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel("mean M FLOPs of an image, everything counted")
    axes.set_ylabel("points over the best fixed one")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    axes.grid(alpha=0.3)
    for text in axes.legend(fontsize=8).get_texts():
        text.set_parse_math(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
