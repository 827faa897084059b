"""Names in pictures are text, also where Matplotlib would read a formula."""

import pandas
import pytest

from keras_resizable import search
from keras_resizable.workshop.runs.history import write_history

NAME = r"loss of $\frac$ and acc $x_1$ \ & % {0}"


def draw_history(path):
    rows = [{"epoch": epoch, NAME: 1.0, f"{NAME} 2": 0.5} for epoch in (1, 2)]
    write_history(rows, path.parent)
    return path.with_name("history.png")


def draw_pareto_front(path):
    table = pandas.DataFrame(
        {
            "config": ["1.0", "0.5"],
            "flops": [2e6, 1e6],
            "top1": [0.9, 0.8],
            f"latency_ms_{NAME}": [2.0, 1.0],
        }
    )
    search.Table(table).report(path.parent, NAME)
    return path.with_name("pareto.png")


@pytest.mark.parametrize("draw", [draw_history, draw_pareto_front])
def test_names_are_no_formulas(draw, tmp_path):
    path = draw(tmp_path / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")
