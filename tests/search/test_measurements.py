import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network

from keras_resizable import search
from keras_resizable.export import to_tflite_files
from keras_resizable.export.flatbuffer import read_metadata, with_metadata
from keras_resizable.search.file_results import (
    metadata_of,
    result_name,
    write_measurements,
)
from keras_resizable.search.table import TABLE


class Phone:
    name = "phone"
    description = "Made up"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a table and converted sub-networks, and the names of these."""
    folder = tmp_path_factory.mktemp("files")
    images = np.random.default_rng(0).random((4, 12, 12, 2), np.float32)
    dataset = tf.data.Dataset.from_tensors((images, np.arange(4) % 3))
    network = small_network(scales=(1.0, 0.5))
    search.build_table(network, dataset, folder=folder, verbose=False)
    files = list(to_tflite_files(network, [(1.0,), (0.5,)], folder))
    files += to_tflite_files(network, [(0.5,)], folder, quantize="dynamic")
    network.head.weights[0].assign_add(np.ones(network.head.weights[0].shape))
    network.name = "other"
    files += to_tflite_files(network, [(1.0, 0.5)], folder)
    return folder, [file.path.name for file in files]


@pytest.fixture
def measured(files, tmp_path):
    """A copy of the folder, and what was measured."""
    folder, names = files
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    results = [
        {"path": str(tmp_path / name), "signature": None, "median_ms": float(number)}
        for number, name in enumerate(names, 1)
    ]
    return tmp_path, results


def test_measurements_join_the_table_of_their_network(measured):
    folder, results = measured
    before = search.Table.load(folder / TABLE).to_frame()
    written = write_measurements(results, Phone(), threads=2, warmup=3, runs=4)
    assert written == [folder / "benchmark_phone.json", folder / TABLE]
    contents = json.loads(written[0].read_text())
    assert contents["results"] == results and contents["threads"] == 2
    table = search.Table.load(written[1]).to_frame().set_index("config")
    assert table.latency_ms_phone["1.0,1.0"] == 1.0
    assert table.latency_ms_phone["0.5,1.0"] == 2.0
    assert table.latency_ms_phone_dynamic["0.5,1.0"] == 3.0
    assert table.latency_ms_phone_dynamic.notna().sum() == 1
    # The last is of another network.
    assert np.isnan(table.latency_ms_phone["1.0,0.5"])
    assert table.measured_phone["1.0,1.0"] == (
        "Made up, 2 threads, 3 + 4 runs, whole, float32"
    )
    assert table.top1.tolist() == before.top1.tolist()
    results[0]["median_ms"] = 9.0  # Measured again.
    write_measurements(results[:1], Phone(), threads=1, warmup=3, runs=4)
    table = search.Table.load(written[1]).to_frame().set_index("config")
    assert table.latency_ms_phone.tolist()[0] == 9.0
    assert "1 threads" in table.measured_phone["1.0,1.0"]
    with pytest.warns(UserWarning, match="sub-networks of the table have no latency_"):
        best = search.Table.load(written[1]).best(max_latency_ms=5, device="phone")
    assert best["config"] == "0.5,1.0"


def test_without_a_table_there_is_the_json_alone(measured):
    folder, results = measured
    (folder / TABLE).unlink()
    assert write_measurements(results, Phone(), threads=1, warmup=1, runs=1) == [
        folder / "benchmark_phone.json"
    ]
    assert result_name(results[0]) == "small_1.0_1.0.tflite"
    bundled = {"path": "a/b.tflite", "signature": "scale_1.0"}
    assert result_name(bundled) == "b.tflite:scale_1.0"


@pytest.mark.parametrize(
    "changes",
    [
        {"quantize": "<img src=x onerror=alert(1)>"},
        {"quantize": ["int8"]},
        {"config": ["1.0", "1.0"]},
        {"config": "\x1b[2J"},
        {"signatures": {"one": "text"}},
        {"signatures": "text", "config": 1.0},
    ],
    ids=str,
)
def test_what_a_file_says_of_itself_names_no_column(measured, changes):
    folder, results = measured
    result = results[0] | {"signature": "one"}
    path = pathlib.Path(result["path"])
    metadata = read_metadata(path) | changes
    path.write_bytes(with_metadata(path.read_bytes(), metadata))
    assert metadata_of(result) == {}
    written = write_measurements([result], Phone(), threads=1, warmup=1, runs=1)
    assert written == [folder / "benchmark_phone.json"]


def test_names_of_signatures_are_no_commands_to_a_terminal():
    result = {"path": "a/b.tflite", "signature": "\x1b]0;title\x07one"}
    assert result_name(result) == "b.tflite:?]0;title?one"


def test_what_int8_files_take_is_in_the_column(measured):
    folder, results = measured
    path = pathlib.Path(results[0]["path"])
    of = read_metadata(path)
    for io, name in (("int8", "phone_int8"), ("float32", "phone_int8_float32")):
        content = with_metadata(path.read_bytes(), of | {"quantize": "int8", "io": io})
        path.write_bytes(content)
        write_measurements(results[:1], Phone(), threads=1, warmup=1, runs=1)
        assert name in search.Table.load(folder / TABLE).devices
