"""Several `.tflite` files in one."""

import json

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from keras_resizable import count_flops
from keras_resizable.errors import DamagedFileError
from keras_resizable.export import (
    evaluate_tflite,
    read_metadata,
    to_bundle,
    to_tflite,
    to_tflite_files,
)
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.export.slices import add_results
from keras_resizable.export.tflite import file_name
from keras_resizable.search.file_results import metadata_of


def test_a_generator_of_paths(make_network, tmp_path):
    network = make_network()
    files = to_tflite_files(network, ["1.0", "0.5"], tmp_path)
    path = tmp_path / "bundle.tflite"
    bundle = to_bundle((file.path for file in files), path)
    assert bundle.size_bytes == path.stat().st_size
    assert list(read_metadata(path)["signatures"]) == ["scale_1.0_1.0", "scale_0.5_1.0"]


def test_a_bundle_tells_what_an_app_must_know(make_network, tmp_path, batch):
    network = make_network()
    options = {"calibrate_with": batch[0], "evaluate_with": batch, "max_loss": 1}
    files = list(to_tflite_files(network, ["1.0", "0.5"], tmp_path, **options))
    bundle = to_bundle(files, tmp_path / "bundle.tflite")
    result = {"path": str(bundle), "signature": "scale_0.5_1.0", "median_ms": 2.5}
    other = {"path": str(files[0]), "signature": None, "median_ms": 9.0}
    path = tmp_path / "bundle.slices.json"
    assert add_results([result, other], "phone") == [path]
    of_files = zip(json.loads(path.read_text()), files, (1.0, 0.5), strict=True)
    for one, file, scale in of_files:
        config = network.space.config((scale,))
        assert one == {
            "signature": f"scale_{scale}_1.0",
            "config": str(config),
            "flops": count_flops(network.sub_network(config)),
            "top1": file.accuracy.top1,
            "agreement": file.accuracy.agreement,
            "size_bytes": file.size_bytes,
            "latency_ms": {"phone": 2.5} if scale == 0.5 else {},
        }
    path.write_text("[]x")
    with pytest.raises(DamagedFileError, match="bundle.slices.json"):
        add_results([result], "phone")


def test_files_of_two_networks_are_refused(make_network, randomize, tmp_path):
    paths = []
    for number, config in enumerate(["1.0", "0.5"]):
        network = make_network()
        randomize(network, seed=number)
        paths += to_tflite_files(network, [config], tmp_path)
    with pytest.raises(ValueError, match="of one network.*narrow_resnet_0.5_1.0.tfl"):
        to_bundle(paths, tmp_path / "bundle.tflite")
    assert not (tmp_path / "bundle.tflite").exists()


@pytest.mark.parametrize(
    "metadata", [{"config": [0.5, 1.0]}, {"signature": ""}, {"signature": 5}, {}]
)
def test_files_without_a_name_are_refused(make_network, tmp_path, metadata):
    path = tmp_path / "model.tflite"
    to_tflite(make_network().sub_network("0.5"), path, metadata=metadata)
    with pytest.raises(ValueError, match="`config` or a `signature`.*model.tflite"):
        to_bundle([path], tmp_path / "bundle.tflite")


def test_a_bundle_of_one_is_of_its_sub_network(make_network, tmp_path):
    """LiteRT runs it as a file without signatures."""
    network = make_network()
    (path,) = to_tflite_files(network, ["0.5"], tmp_path)
    bundle = tmp_path / "bundle.tflite"
    to_bundle([path], bundle)
    assert metadata_of({"path": bundle, "signature": None})["config"] == "0.5,1.0"
    images = np.zeros((4, 12, 12, 2), np.float32), np.array([0, 1, 2, 0])
    assert evaluate_tflite(bundle, images) == evaluate_tflite(path, images)


def test_what_a_file_takes_is_in_its_name(make_network, tmp_path):
    network = make_network()
    images = np.random.default_rng(0).random((4, 12, 12, 2), np.float32)
    for io in ("int8", "float32"):
        (file,) = to_tflite_files(
            network,
            ["0.5"],
            tmp_path,
            quantize="int8",
            io=io,
            calibrate_with=images,
        )
        config = network.space.config("0.5")
        assert file.path.name == file_name(network, config, "int8", io)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "narrow_resnet_0.5_1.0_int8.tflite",
        "narrow_resnet_0.5_1.0_int8_float32.tflite",
    }


def two_ways():
    """A model of two inputs and two outputs."""
    first, second = keras.Input((6,)), keras.Input((3,))
    x = keras.layers.Concatenate()([first, second])
    return keras.Model([first, second], [keras.layers.Dense(n)(x) for n in (4, 2)])


def test_files_of_any_origin_by_name(make_network, tmp_path):
    """One by this library, one by TensorFlow, and one without a signature."""
    paths = {name: tmp_path / f"{name}.tflite" for name in ("a", "b", "c")}
    images = np.random.default_rng(0).random((8, 12, 12, 2), np.float32)
    sub = make_network().sub_network("0.5", calibrate_with=images)
    to_tflite(sub, paths["a"], "int8", calibrate_with=images)
    converter = tf.lite.TFLiteConverter.from_keras_model(two_ways())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    paths["b"].write_bytes(converter.convert())
    double = tf.function(lambda x: 2 * x).get_concrete_function(tf.TensorSpec((2, 3)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([double])
    paths["c"].write_bytes(converter.convert())
    bundle = to_bundle(paths, tmp_path / "bundle.tflite").path
    joined, random = open_tflite(bundle), np.random.default_rng(1)
    assert list(joined.get_signature_list()) == ["a", "b", "c"]
    assert read_metadata(bundle)["signatures"]["a"]["quantize"] == "int8"
    for name, path in paths.items():
        alone = open_tflite(path)
        inside = joined.get_signature_runner(name)
        details = inside.get_input_details()
        given = {
            key: random.uniform(-9, 9, of["shape"]).astype(of["dtype"])
            for key, of in details.items()
        }
        outputs = inside(**given)
        if signatures := list(alone.get_signature_list()):
            expected = alone.get_signature_runner(signatures[0])(**given)
        else:
            (value,) = given.values()
            expected = {key: 2 * value for key in outputs}
        assert outputs.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(outputs[key], value)
    loop = tf.function(lambda x: tf.while_loop(lambda y: y < 9.0, lambda y: y + x, [x]))
    function = loop.get_concrete_function(tf.TensorSpec(()))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    paths["c"].write_bytes(converter.convert())
    with pytest.raises(ValueError, match="'c' has 3"):
        to_bundle(paths, tmp_path / "other.tflite")


def test_damaged_files_are_named(tmp_path):
    """One that is none, and one without buffers."""
    path, bundle = tmp_path / "some.tflite", tmp_path / "bundle.tflite"
    builder = flatbuffers.Builder()
    graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[])
    model = schema.ModelT(version=3, subgraphs=[graph], operatorCodes=[])
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    for content in (b"no model" * 50, bytes(builder.Output())):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match="some.tflite is damaged"):
            to_bundle({"some": path}, bundle)
    assert not bundle.exists()
