"""The table as an object: rows by configuration, files, merging, and comparing."""

import os
import subprocess
import sys

import numpy as np
import pandas
import pytest
import scipy.stats

from keras_resizable.search import PairedTest, Table
from keras_resizable.search.table import ImageResults
from keras_resizable.utils.intervals import wilson_interval


def make_table(*configs, seed=0, images=77, origin=None):
    generator = np.random.default_rng(seed)
    right = generator.random((len(configs), images)) < 0.6
    confidence = generator.random((len(configs), images)).astype(np.float16)
    return Table(
        pandas.DataFrame({"config": configs, "top1": right.mean(axis=1)}),
        dict(zip(configs, map(ImageResults, right, confidence))),
        origin or {"data": "digest", "network": f"{seed}"},
    )


def test_a_table_in_a_file_is_the_same_in_another_process(tmp_path):
    table = make_table(*map(str, range(20)), images=10_001)
    frame = table.to_frame()
    table = Table(
        frame.assign(flops=2**40, latency_ms_x=np.nan, measured_x="a, b", loss=1 / 3),
        table.results,
        table.origin,
    )
    path = tmp_path / "table.npz"
    table.save(path)
    assert path.stat().st_size < 20 * 10_001 * (2 + 1 / 8) + 3000
    program = (
        "import sys; from keras_resizable.search import Table\n"
        "Table.load(sys.argv[1]).save(sys.argv[2])"
    )
    copy = tmp_path / "copy.npz"
    subprocess.run([sys.executable, "-c", program, path, copy], check=True)
    loaded = Table.load(copy)
    pandas.testing.assert_frame_equal(loaded.to_frame(), table.to_frame())
    assert loaded.origin == table.origin and loaded.configs == table.configs
    for config in table:
        np.testing.assert_array_equal(loaded.right(config), table.right(config))
        confidence = table.confidence(config)
        np.testing.assert_array_equal(loaded.confidence(config), confidence)


def test_a_table_without_results_in_a_file(tmp_path):
    table = Table(pandas.DataFrame({"config": ["1.0", "0.5"], "flops": [2, 1]}))
    table.save(tmp_path / "table.npz")
    loaded = Table.load(tmp_path / "table.npz")
    pandas.testing.assert_frame_equal(loaded.to_frame(), table.to_frame())
    assert loaded.num_images == 0
    with pytest.raises(ValueError, match="'0.5' was not evaluated"):
        loaded.right("0.5")


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "table.npz"
    make_table("a", "b").save(path)
    content = path.read_bytes()
    for damaged in (b"", b"PK\3\4 something", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="table.npz is damaged"):
            Table.load(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(
        ValueError, match="table.npz is damaged or of another kind: it has no"
    ):
        Table.load(path)
    os.unlink(path)
    with pytest.raises(FileNotFoundError):
        Table.load(path)


@pytest.mark.parametrize("config", ["0.5,1.0", "0.5", (0.5, 1), (0.5,), [0.5, 1.0]])
def test_rows_are_found_however_a_configuration_is_written(config):
    table = make_table("1.0,1.0", "0.5,1.0", "1.0,0.5")
    assert config in table
    assert table[config]["config"] == "0.5,1.0"
    np.testing.assert_array_equal(table.right(config), table.results["0.5,1.0"].right)
    assert table.only([config]).configs == ["0.5,1.0"]
    assert table.compare(config, "1.0").difference == pytest.approx(
        table[config]["top1"] - table["1.0"]["top1"]
    )


@pytest.mark.parametrize("config", ["0.5,0.5", "0.7", "before", "1.0,1.0,1.0", ""])
def test_a_configuration_without_a_row_is_named(config):
    table = make_table("1.0,1.0", "0.5,1.0", "1.0,0.5")
    assert config not in table
    with pytest.raises(ValueError, match=f"no row for '{config}'. It has 3 rows, such"):
        table[config]


def test_rows_may_have_names():
    table = make_table("before", "after")
    assert list(table) == ["before", "after"] and "after" in table
    assert table["after"]["config"] == "after"
    with pytest.raises(ValueError, match="no row for '1.0'. It has 2 rows, .*before"):
        table["1.0"]


def test_what_is_no_table():
    with pytest.raises(ValueError, match="needs a column 'config'"):
        Table(pandas.DataFrame({"flops": [1]}))
    with pytest.raises(ValueError, match="occurs twice"):
        Table(pandas.DataFrame({"config": ["1.0", "1.0"]}))


def test_tables_of_several_devices_merge():
    def table(**columns):
        return Table(pandas.DataFrame(columns))

    flops = table(config=["a", "b"], flops=[2, 1])
    phone = table(config=["b", "a"], latency_ms_phone=[3.0, 4.0])
    board = table(config=["c", "b"], latency_ms_board=[7.0, 6.0])
    merged = flops.merge(phone).merge(board)
    columns = ["config", "flops", "latency_ms_phone", "latency_ms_board"]
    assert list(merged.to_frame()) == columns
    assert merged.configs == ["a", "b", "c"] and merged.devices == ["phone", "board"]
    assert merged["b"].tolist() == ["b", 1, 3, 6]
    assert np.isnan(merged["c"]["flops"])
    with pytest.raises(ValueError, match="disagree on flops of 'b': 1 and 5"):
        flops.merge(table(config=["b"], flops=[5]))


def test_newer_latencies_replace_those_of_their_rows():
    old = pandas.DataFrame(
        {
            "config": ["a", "b"],
            "latency_ms_phone": [3.0, 4.0],
            "measured_phone": "before",
            "size_bytes": [7, 8],
        }
    )
    new = old[1:].assign(latency_ms_phone=5.0, measured_phone="now", size_bytes=9)
    table = Table(old)
    merged = table.merge(Table(new)).to_frame()
    assert merged.latency_ms_phone.tolist() == [3, 5]
    assert merged.measured_phone.tolist() == ["before", "now"]
    assert merged.size_bytes.tolist() == [7, 9]
    pandas.testing.assert_frame_equal(table.to_frame(), old)  # As it was.


def test_latencies_that_only_one_table_has_stay():
    old = Table(pandas.DataFrame({"config": ["a", "b"], "latency_ms_x": [3.0, 4.0]}))
    new = pandas.DataFrame(
        {
            "config": ["a", "b"],
            "latency_ms_x": [np.nan, 5.0],
            "latency_ms_y": [1.0, 2.0],
        }
    )
    merged = old.merge(Table(new)).to_frame()
    assert merged.latency_ms_x.tolist() == [3, 5]
    assert merged.latency_ms_y.tolist() == [1, 2]


def test_merged_tables_have_the_results_of_both():
    one, two = make_table("a"), make_table("b", seed=1)
    merged = one.merge(two)
    np.testing.assert_array_equal(merged.right("a"), one.right("a"))
    np.testing.assert_array_equal(merged.right("b"), two.right("b"))


def test_results_on_other_images_are_not_compared():
    table = make_table("a")
    with pytest.raises(ValueError, match="They are for 77 and 78 images"):
        table.merge(make_table("b", images=78))
    with pytest.raises(ValueError, match="for the same images in the same order"):
        table.merge(make_table("b", origin={"data": "other"}))


def test_oracle_is_right_where_any_is():
    right = np.array([[1, 1, 0, 0], [0, 1, 1, 0]], bool)
    results = {
        name: ImageResults(row, np.zeros(4, np.float16))
        for name, row in zip("ab", right)
    }
    table = Table(pandas.DataFrame({"config": ["a", "b"]}), results)
    assert table.oracle_top1 == 0.75


def test_intervals_are_those_of_wilson():
    # Newcombe, 1998, https://doi.org/10.1002/(SICI)1097-0258, table I: 81 of 263.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    for right, count in ((0, 1), (1, 1), (0, 24), (24, 24), (3, 7), (4000, 9000)):
        counted = scipy.stats.binomtest(right, count).proportion_ci(method="wilson")
        expected = pytest.approx((counted.low, counted.high), abs=1e-6)
        assert wilson_interval(right / count, count) == expected


def test_paired_test_is_that_of_mcnemar():
    # 10 and 2 images that tell them apart: 2 * (1 + 12 + 66) / 2 ** 12.
    right = np.array([1] * 10 + [0] * 2 + [1] * 50 + [0] * 38, bool)
    other = np.array([0] * 10 + [1] * 2 + [1] * 50 + [0] * 38, bool)
    test = PairedTest.of(right, other)
    assert test.difference == pytest.approx(0.08)
    assert test.p_value == pytest.approx(2 * 79 / 4096)
    differences = right.astype(float) - other
    assert test.standard_error == pytest.approx(differences.std() / 10)
    assert PairedTest.of(right, right).p_value == 1.0
