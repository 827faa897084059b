"""Tables in files, of several devices and of times before."""

import numpy as np
import pandas
import pytest

from keras_resizable import SpatialSpace
from keras_resizable.search import merge_tables, read_table
from keras_resizable.search.table import without_measured


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "damaged or not a table"),
        ("config,flops\n", "line 1: .* It has 0 rows of config, flops"),
        ("a,b\n1,2\n", "line 1: .*'config', and rows. It has 1 rows of a, b"),
        ('config,flops\n"1.0,0.5",3\n\n"1.0,0.6",3\n', "line 3: "),
        ('config,flops\n"1.0,0.5",3\n"1.0,0.6",3\n', "line 3: .*0.6 of stage 2"),
        (
            'config,flops\n"1.0,0.5",3\n"1.0,0.5",3\n',
            "line 3: '1.0,0.5' is there twice",
        ),
        (
            'config,flops\n"1.0,0.5",3\n"1,0.50",3\n',
            "line 3: '1.0,0.5' is there twice",
        ),
        ('config,flops\n"1.0,0.5",x\n', "line 2: flops is 'x', not a number"),
        (
            'config,flops,top1\n"1.0,0.5",3,1.2\n',
            "line 2: top1 is 1.2, not from 0 to 1",
        ),
        ('config,flops,latency_ms_x\n"1.0",3,nan\n', "line 2: latency_ms_x is nan"),
        ("\x00\x01config", "damaged or not a table|line 1"),
    ],
)
def test_damaged_tables_are_refused_with_the_line(tmp_path, content, error):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"table.csv.*(?:{error})"):
        read_table(path, SpatialSpace((1.0, 0.75, 0.5), num_stages=2))
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")


def test_tables_of_several_devices_merge():
    table = pandas.DataFrame({"config": ["a", "b"], "flops": [2, 1]})
    phone = pandas.DataFrame({"config": ["b", "a"], "latency_ms_phone": [3.0, 4.0]})
    board = pandas.DataFrame({"config": ["c", "b"], "latency_ms_board": [7.0, 6.0]})
    merged = merge_tables(table, phone, board)
    assert list(merged.columns) == [
        "config",
        "flops",
        "latency_ms_phone",
        "latency_ms_board",
    ]
    assert list(merged.config) == ["a", "b", "c"]
    assert merged.set_index("config").loc["b"].tolist() == [1, 3, 6]
    assert np.isnan(merged.flops[2])
    with pytest.raises(ValueError, match="no tables to merge"):
        merge_tables()
    with pytest.raises(ValueError, match="disagree on flops of 'b': 1 and 5"):
        merge_tables(table, pandas.DataFrame({"config": ["b"], "flops": [5]}))


def test_newer_latencies_replace_those_of_their_rows():
    old = pandas.DataFrame(
        {
            "config": ["a", "b"],
            "latency_ms_phone": [3.0, 4.0],
            "measured_phone": "before",
            "size_bytes": [7, 8],
        }
    )
    new = pandas.DataFrame(
        {
            "config": ["b"],
            "latency_ms_phone": [5.0],
            "measured_phone": "now",
            "size_bytes": [9],
        }
    )
    merged = merge_tables(without_measured(old, new), new)
    assert merged.latency_ms_phone.tolist() == [3, 5]
    assert merged.measured_phone.tolist() == ["before", "now"]
    assert merged.size_bytes.tolist() == [7, 9]
    assert len(old.dropna()) == 2  # As it was.
