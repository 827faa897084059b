import keras
import pytest

from keras_resizable.devices import Host
from keras_resizable.export import convert


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
    with pytest.raises(ValueError, match="runs=0"):
        Host().measure([path], runs=0)


def test_it_says_what_it_is():
    assert "LiteRT" in Host().description
