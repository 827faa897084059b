import collections

import numpy as np
import pytest

from keras_resizable import ResNet20, ResNet50
from keras_resizable.export import file_name, open_tflite, run_tflite, to_tflite


def operators(path):
    interpreter = open_tflite(path)
    names = [operator["op_name"] for operator in interpreter._get_ops_details()]
    # What executes the others, where the interpreter uses XNNPACK.
    return collections.Counter(name for name in names if name != "DELEGATE")


def assert_is_clean(path, residual_sums):
    counts = operators(path)
    assert set(counts) <= {
        "ADD",
        "CONV_2D",
        "FULLY_CONNECTED",
        "MAX_POOL_2D",
        "MEAN",
        "RESIZE_BILINEAR",
        "SOFTMAX",
    }
    assert counts["ADD"] == residual_sums
    for tensor in open_tflite(path).get_tensor_details():
        assert -1 not in tensor["shape_signature"], tensor["name"]


def assert_equals_network(path, network, config, images):
    expected = network(images, config=config)
    difference = np.abs(run_tflite(path, images) - expected).max()
    assert difference <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("config", [(1.0,), (0.75, 0.5), (0.5, 1.0, 0.75)])
def test_resnet20_equals_the_super_network(randomize, tmp_path, config):
    network = ResNet20(input_shape=(29, 33, 3), classifier_activation=None)
    randomize(network)
    path = tmp_path / "model.tflite"
    to_tflite(network.sub_network(config), path)
    images = np.random.default_rng(0).random((1, 29, 33, 3), np.float32)
    assert_equals_network(path, network, config, images)
    assert_is_clean(path, residual_sums=9)
    resizes = sum(scale < 1 for scale in config)
    assert operators(path)["RESIZE_BILINEAR"] == resizes


def test_resnet50_equals_the_super_network(randomize, tmp_path):
    network = ResNet50(input_shape=(65, 97, 3), classifier_activation=None)
    randomize(network)
    config = (0.9, 0.8, 1.0, 0.7)
    path = tmp_path / "model.tflite"
    to_tflite(network.sub_network(config), path)
    images = np.random.default_rng(0).random((1, 65, 97, 3), np.float32)
    assert_equals_network(path, network, config, images)
    assert_is_clean(path, residual_sums=16)


def test_every_configuration_equals_the_super_network(
    make_network, randomize, tmp_path
):
    network = make_network(classifier_activation=None, input_shape=(13, 11, 2))
    randomize(network)
    images = np.random.default_rng(0).random((1, 13, 11, 2), np.float32)
    for config in network.space.configs():
        path = tmp_path / file_name(network, config)
        to_tflite(network.sub_network(config), path)
        assert_equals_network(path, network, config, images)


def test_float16_halves_the_file(tmp_path):
    model = ResNet20(input_shape=(12, 12, 2)).sub_network((0.75,))
    to_tflite(model, tmp_path / "whole.tflite")
    to_tflite(model, tmp_path / "half.tflite", quantize="float16")
    sizes = [(tmp_path / f"{name}.tflite").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]


def test_names_of_files(make_network):
    network = make_network()
    assert file_name(network, (0.75,)) == "narrow_resnet_0.75_1.0.tflite"
    assert (
        file_name(network, (0.75,), "float16")
        == "narrow_resnet_0.75_1.0_float16.tflite"
    )


def test_bad_arguments_are_named(make_network, tmp_path):
    model = make_network().sub_network((1.0,))
    with pytest.raises(ValueError, match="model.lite"):
        to_tflite(model, tmp_path / "model.lite")
    with pytest.raises(ValueError, match="quantize='int4'"):
        to_tflite(model, tmp_path / "model.tflite", quantize="int4")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        to_tflite(model, tmp_path / "file" / "model.tflite")


def test_a_conversion_that_does_not_agree_leaves_no_file(
    make_network, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "keras_resizable.export.tflite.run_tflite", lambda path, images: np.ones((1, 3))
    )
    with pytest.raises(ValueError, match="is off by"):
        to_tflite(make_network().sub_network((1.0,)), tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tflite_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tflite") / "model.tflite"
    to_tflite(ResNet20(input_shape=(12, 12, 2)).sub_network((0.75,)), path)
    return path


def test_damaged_files_are_named(tflite_file, tmp_path):
    content = tflite_file.read_bytes()
    path = tmp_path / "damaged.tflite"
    for damaged in (b"", b"PK\3\4 something else", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{path} is damaged"):
            open_tflite(path)
    with pytest.raises(FileNotFoundError, match=r"none.tflite.*tflite/convert.py"):
        open_tflite(tmp_path / "none.tflite")
