import keras
import pytest

from keras_resizable.devices import Host
from keras_resizable.export import to_bundle, to_tflite_files
from keras_resizable.export.tflite import convert


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    images = keras.Input((4, 4, 1))
    path = tmp_path_factory.mktemp("host") / "small.tflite"
    convert(keras.Model(images, keras.layers.Conv2D(2, 3)(images)), path)
    return path


def test_latencies_are_measured(path):
    results = Host().measure([path, path], threads=2, warmup=1, runs=7)
    assert [result["path"] for result in results] == [str(path)] * 2
    for result in results:
        assert 0 < result["p5_ms"] <= result["median_ms"] <= result["p95_ms"] < 1000
        assert 0 < result["init_ms"] < 10_000 and 0 < result["first_ms"] < 10_000
        assert 0 <= result["peak_memory_mb"] < 1000
        assert result["size_bytes"] == path.stat().st_size
        assert result["signature"] is None
    with pytest.raises(ValueError, match="runs=0"):
        Host().measure([path], runs=0)


def test_each_signature_is_measured(make_network, tmp_path):
    files = to_tflite_files(make_network(), [(1.0,), (0.5,)], tmp_path)
    to_bundle([file.path for file in files], tmp_path / "bundle.tflite")
    results = Host().measure([tmp_path / "bundle.tflite"], warmup=0, runs=3)
    names = [result["signature"] for result in results]
    assert names == ["scale_1.0_1.0", "scale_0.5_1.0"]
    assert all(0 < result["median_ms"] < 1000 for result in results)


def test_it_says_what_it_is():
    assert "LiteRT" in Host().description
