"""Drawing helpers for pictures of lookup tables."""

from typing import TYPE_CHECKING, Any

from keras_resizable.search.query import AGREEMENT, TOP1, pareto_front, score_of
from keras_resizable.utils.extras import import_extra

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

SCORES = {TOP1: "top-1, %", AGREEMENT: "agreement, %"}


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure without a window; its size is in inches."""
    figure = import_extra("matplotlib.figure", "search").Figure
    return figure(figsize=(width, height), layout="constrained")


def draw_front(
    axes: Any, table: "pandas.DataFrame", cost: str, label: str, factor: float
) -> None:
    """Draws all rows of a table as dots, and the Pareto front as a line."""
    best, score = pareto_front(table, cost), score_of(table)
    axes.plot(factor * table[cost], 100 * table[score], ".", alpha=0.5)
    line = {"where": "post", "label": "Pareto front"}
    axes.step(factor * best[cost], 100 * best[score], ".-", **line)
    axes.set_xlabel(label, parse_math=False)
    axes.grid(alpha=0.3)
