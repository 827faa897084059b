"""Writing the history of a run as a table and a picture."""

import csv
import os
import pathlib
from collections.abc import Mapping, Sequence

from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing


def write_history(
    rows: Sequence[Mapping[str, float]], folder: str | os.PathLike
) -> None:
    """Writes `history.csv` and `history.png`."""
    folder = pathlib.Path(folder)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(folder / "history.csv") as path:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    with replacing(folder / "history.png") as path:
        _draw(rows, [name for name in columns if name != "epoch"], path)


def _draw(rows, columns, path):
    figure = import_extra("matplotlib.figure", "train").Figure(
        figsize=(10, 4), layout="constrained"
    )
    panels = {
        "loss": [name for name in columns if "loss" in name],
        "accuracy": [name for name in columns if "acc" in name],
    }
    for axes, (title, names) in zip(figure.subplots(1, 2), panels.items()):
        for name in names:
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points), marker=".", label=name)
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if names:
            for text in axes.legend().get_texts():
                text.set_parse_math(False)
    figure.savefig(path, dpi=120)
