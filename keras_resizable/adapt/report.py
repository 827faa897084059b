"""A plot of the accuracy of an adaptive network against its FLOPs."""

import os
from typing import TYPE_CHECKING

from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

if TYPE_CHECKING:
    import pandas


def plot_trade_off(
    table: "pandas.DataFrame",
    adaptive_table: "pandas.DataFrame",
    path: str | os.PathLike,
) -> None:
    """Draws accuracy against FLOPs, of sub-networks and of an adaptive network.

    Args:
        table: The lookup table.
        adaptive_table: A `pandas.DataFrame` with the columns `flops` (mean of an image)
            and `top1`, a row for each budget.
        path: Path of a `.png` file. An existing one is replaced.

    Raises:
        ImportError: If the extra `search` is not installed.
    """
    figure = import_extra("matplotlib.figure", "search").Figure(
        figsize=(7, 4.5), layout="constrained"
    )
    axes = figure.subplots()
    axes.plot(
        table["flops"] / 1e6, 100 * table["top1"], "o", alpha=0.5, label="sub-networks"
    )
    axes.plot(
        adaptive_table["flops"] / 1e6,
        100 * adaptive_table["top1"],
        ".-",
        color="C1",
        label="adaptive, everything counted",
    )
    axes.set_xlabel("mean M FLOPs of an image")
    axes.set_ylabel("top-1, %")
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
