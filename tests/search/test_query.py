import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resizable.search import Table
from keras_resizable.search.table import ImageResults


def best(frame, **limits):
    return Table(frame).best(**limits)


def pareto_front(frame, *cost):
    return Table(frame).front(*cost)


@pytest.fixture
def table():
    return pandas.DataFrame(
        {
            "config": ["a", "b", "c", "d"],
            "flops": [100, 80, 60, 50],
            "top1": [0.9, 0.8, 0.8, 0.7],
            "latency_ms_phone": [4.0, 1.0, 2.0, 3.0],
            "size_bytes": [9.0, 9.0, 9.0, 5.0],
        }
    )


def test_best_within_limits(table):
    assert best(table)["config"] == "a"
    assert best(table, max_flops=100)["config"] == "a"
    assert best(table, max_flops=99)["config"] == "c"  # As good as b, and less.
    assert best(table, max_flops=99, max_latency_ms=1.5)["config"] == "b"
    assert best(table, max_size_bytes=6)["config"] == "d"
    # Without a maximum, what is accurate enough should cost little.
    assert best(table, min_top1=0.75)["config"] == "c"
    assert best(table, min_top1=0.75, max_flops=100)["config"] == "a"
    assert best(table, min_top1=0)["config"] == "d"


def test_the_cheapest_that_is_not_worse():
    # Right on all, all but 2, and all but 20 of 100 images.
    right = np.arange(100) >= np.array([[0], [2], [20]])
    results = [ImageResults(row, np.zeros(100, np.float16)) for row in right]
    rows = pandas.DataFrame(
        {
            "config": ["a", "b", "c"],
            "flops": [3, 2, 1],
            "latency_ms_phone": [1.0, 2.0, 3.0],
            "top1": right.mean(axis=1),
        }
    )
    table = Table(rows, dict(zip("abc", results)))

    def chosen(**limits):
        return table.best(within_noise=True, **limits)["config"]

    assert table.best()["config"] == "a"
    assert chosen() == "b"
    assert chosen(confidence=0.3) == "a"
    assert chosen(max_latency_ms=9) == "a"
    assert chosen(max_flops=1) == "c"
    # The most accurate of those that are good enough, not the cheapest of them.
    assert chosen(min_top1=0.1) == "b"
    with pytest.raises(ValueError, match="'c' was not evaluated"):
        Table(rows, {"a": results[0]}).best(within_noise=True)


def test_how_near_the_nearest_is(table):
    with pytest.raises(
        ValueError,
        match="flops of at most 49. The nearest is 'd': flops 50.",
    ):
        best(table, max_flops=49)
    with pytest.raises(
        ValueError,
        match="flops of at most 55 and top1 of at least 0.8. "
        "The nearest is 'c': flops 60, top1 0.8.",
    ):
        best(table, max_flops=55, min_top1=0.8)


def test_a_device_is_named_if_there_are_several(table):
    assert best(table, max_latency_ms=1, device="phone")["config"] == "b"
    table["latency_ms_board"] = [1.0, 2.0, 3.0, 4.0]
    assert best(table, max_latency_ms=1, device="board")["config"] == "a"
    with pytest.raises(ValueError, match="of phone, board. Received: device=None"):
        best(table, max_latency_ms=1)
    with pytest.raises(ValueError, match="Received: device='tv'"):
        best(table, max_latency_ms=1, device="tv")


def test_what_was_not_measured_fits_no_limit(table):
    table.loc[1, "latency_ms_phone"] = float("nan")
    told = pytest.warns(UserWarning, match="1 of . sub-networks .* no latency_ms_phone")
    with told:
        assert best(table, max_latency_ms=2.5)["config"] == "c"
    with told, pytest.raises(ValueError, match="The nearest is 'c'"):
        best(table, max_latency_ms=1.5)
    with told:
        assert best(table, max_latency_ms=2.5, min_top1=0.5)["config"] == "c"
    with told:
        assert best(table, max_latency_ms=2.5, max_size_bytes=9)["config"] == "c"
    table["latency_ms_phone"] = float("nan")
    with pytest.raises(ValueError, match="No sub-network of the table has top1 and l"):
        best(table, max_latency_ms=2.5)
    with pytest.raises(ValueError, match="has no 'size_bytes'. It has config"):
        best(table.drop(columns="size_bytes"), max_size_bytes=1)
    assert "b" not in set(pareto_front(table, "latency_ms_phone").config)


@pytest.mark.parametrize(
    "limit",
    [{"max_flops": 0}, {"max_flops": "many"}, {"min_top1": 75}, {"min_top1": -0.5}],
)
def test_limits_have_to_make_sense(table, limit):
    with pytest.raises(ValueError, match=next(iter(limit))):
        best(table, **limit)


rows = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1)


@given(rows)
def test_front_is_what_no_other_row_beats(rows):
    table = pandas.DataFrame(rows, columns=["flops", "top1"])
    table["config"] = range(len(rows))
    front = pareto_front(table)
    expected = {
        (flops, top1)
        for flops, top1 in rows
        if not any(
            other != (flops, top1) and other[0] <= flops and other[1] >= top1
            for other in rows
        )
    }
    assert list(zip(front.flops, front.top1)) == sorted(expected)


def test_front_of_other_costs(table):
    assert list(pareto_front(table).config) == ["d", "c", "a"]
    assert list(pareto_front(table, "latency_ms_phone").config) == ["b", "a"]
    with pytest.raises(ValueError, match="no 'watts'. It has config, flops"):
        pareto_front(table, "watts")


@pytest.mark.parametrize("missing", ["flops", "top1"])
def test_a_table_without_what_is_needed_is_named(table, missing):
    less = table.drop(columns=missing)
    for ask in (best, pareto_front):
        with pytest.raises(ValueError, match=f"has no '{missing}'. It has config"):
            ask(less)
