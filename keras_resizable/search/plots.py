"""Pictures of sub-networks and of lookup tables, as Matplotlib figures.

They need the extra `search`. `figure.savefig(path)` writes a file.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.search.drawing import SCORES, draw_front, new_figure
from keras_resizable.search.table import Table
from keras_resizable.space import ConfigLike, resized
from keras_resizable.subnetworks.pieces import pieces_of_configs
from keras_resizable.utils.extras import import_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["agreement", "front", "main_effects", "sub_networks"]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def sub_networks(network: ResizableNetwork, configs: Sequence[ConfigLike]) -> "Figure":
    """Draws sub-networks as the sizes of their feature maps, stage by stage.

    Each stage is a square of the width of its maps, inside an outline of their full
    size; the darker, the more FLOPs.

    Args:
        network: A `ResizableNetwork` with a fixed input shape.
        configs: Configurations, one for each row.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the input shape is not fixed.

    Example:

    >>> from keras_resizable import ResNet20, plots
    >>> figure = plots.sub_networks(ResNet20((1.0, 0.5)), ["1.0", "0.5,1.0,0.5"])
    >>> [text.get_text() for text in figure.axes[0].texts][:3]
    ['stage 1', 'stage 2', 'stage 3']
    """
    width = 1.5 * network.space.num_stages + 2.5
    figure = new_figure(width, 1.4 * len(configs) + 0.6)
    _draw_sub_networks(figure.subplots(), network, configs)
    return figure


def front(
    table: Table,
    cost: str = "flops",
    *,
    network: ResizableNetwork | None = None,
    configs: Sequence[ConfigLike] = (),
) -> "Figure":
    """Draws the accuracy of all sub-networks against their cost, and the Pareto front.

    Args:
        table: A `search.Table`.
        cost: A column to keep low: `"flops"`, `"latency_ms_host"`, ...
        network: The `ResizableNetwork`, to draw `configs` next to the front.
        configs: At most 26 sub-networks, each of which gets a letter.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the table lacks the column or a configuration, or there are
            configurations without a network.
    """
    if len(configs) and network is None:
        raise ValueError(
            f"To draw sub-networks, pass `network` too. Received: configs={configs}"
        )
    names = [] if network is None else [str(network.space.config(c)) for c in configs]
    factor, label = (1e-6, "M FLOPs") if cost == "flops" else (1, cost)
    figure = new_figure(12 if len(configs) else 6, 4.5)
    ((axes, *others),) = figure.subplots(1, 1 + bool(len(configs)), squeeze=False)
    draw_front(axes, table.to_frame(), cost, label, factor)
    for letter, name in zip(_LETTERS, names):
        row = table[name]
        place = factor * row[cost], 100 * row[table.score]
        axes.plot(*place, "o", color="C3")
        axes.annotate(
            letter, place, xytext=(6, -12), textcoords="offset points", weight="bold"
        )
    axes.set_ylabel(SCORES[table.score])
    axes.legend()
    for beside in others:
        _draw_sub_networks(beside, network, configs, _LETTERS)
    return figure


def main_effects(table: Table) -> "Figure":
    """Draws how accuracy and FLOPs depend on the scale factor of each stage.

    The dots are the means of `Table.main_effects`.

    Args:
        table: A `search.Table`.

    Returns:
        A `matplotlib.figure.Figure`: accuracy at the left, FLOPs at the right.

    Raises:
        ValueError: If the table is empty.
    """
    figure = new_figure(9, 3.8)
    panels = figure.subplots(1, 2)
    for axes, column, factor, label in (
        (panels[0], table.score, 100, f"{SCORES[table.score]}, mean"),
        (panels[1], "flops", 1e-6, "M FLOPs, mean"),
    ):
        for stage, means in enumerate(table.main_effects(column), 1):
            values = [factor * mean for mean in means.values()]
            axes.plot(list(means), values, "o-", label=f"stage {stage}")
        axes.set_xlabel("scale factor")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    panels[0].legend()
    return figure


def agreement(table: Table, config: ConfigLike, other: ConfigLike) -> "Figure":
    """Draws on how many images both, one or none of two sub-networks are right.

    Args:
        table: A `search.Table`.
        config: A configuration.
        other: Another one.

    Returns:
        A `matplotlib.figure.Figure` in % of the images: `config` in rows, `other` in
        columns.

    Raises:
        ValueError: If one was not evaluated.
    """
    right, other_right = table.right(config), table.right(other)
    shares = [
        [100 * np.mean((right == one) & (other_right == two)) for two in (True, False)]
        for one in (True, False)
    ]
    figure = new_figure(4.2, 3.8)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        color = "white" if share > 50 else "black"
        axes.text(column, row, f"{share:.1f} %", color=color, ha="center")
    axes.set_xticks([0, 1], ["right", "wrong"])
    axes.set_yticks([0, 1], ["right", "wrong"])
    axes.set_xlabel(str(other), parse_math=False)
    axes.set_ylabel(str(config), parse_math=False)
    return figure


def _draw_sub_networks(axes: Any, network, configs, names=()):
    """Draws a row of squares, one for each stage, for each configuration."""
    rectangle = import_extra("matplotlib.patches", "search").Rectangle
    space = network.space
    configs = [space.config(config) for config in configs]
    largest, *chosen = pieces_of_configs(network, [space.largest, *configs])
    stages = range(1, space.num_stages + 1)
    most = max(largest[level].flops for level in stages)
    for level in stages:
        axes.text(level, -0.62, f"stage {level}", ha="center", va="center")
    for row, (config, pieces) in enumerate(zip(configs, chosen)):
        for level, scale in zip(stages, config):
            full = largest[level].input_shape[0]
            size = resized(pieces[level].input_shape[0], scale)
            share = pieces[level].flops / most
            # The larger the share, the darker the blue.
            blue = tuple(1 - share * np.array([0.85, 0.62, 0.35]) - 0.08)
            for side, options in (
                (1, {"fill": False, "edgecolor": "0.7", "linestyle": "--"}),
                (size / full, {"color": blue}),
            ):
                half = 0.4 * side
                corner = level - half, row - half
                axes.add_patch(rectangle(corner, 2 * half, 2 * half, **options))
            color = "white" if share > 0.5 else "black"
            center = {"ha": "center", "va": "center"}
            axes.text(level, row, f"{size} px", **center, fontsize=8, color=color)
        flops = sum(piece.flops for piece in pieces) / 1e6
        name = f"{names[row]}   " if names else ""
        axes.text(0.45, row, f"{name}{config}", ha="right", va="center")
        end, digits = space.num_stages + 0.6, 0 if flops >= 100 else 1
        axes.text(end, row, f"{flops:,.{digits}f} M FLOPs", va="center")
    axes.set_xlim(-1, space.num_stages + 2)
    axes.set_ylim(len(configs) - 0.45, -0.8)
    axes.set_aspect("equal")
    axes.axis("off")
