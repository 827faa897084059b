import collections
import logging
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from conftest import narrow_resnet
from keras import layers
from narrow_networks import NARROW

import keras_resizable
from keras_resizable import ResNet20, ResNet50
from keras_resizable.export import (
    read_metadata,
    run_tflite,
    to_bundle,
    to_tflite,
    to_tflite_files,
)
from keras_resizable.export.flatbuffer import count_operators
from keras_resizable.export.interpreters import Runner, open_tflite
from keras_resizable.export.quantization import on_int8_grid
from keras_resizable.export.tflite import convert, file_name
from keras_resizable.subnetworks.pieces import cut_piece, pieces_of_configs


def operators(path):
    return count_operators(path.read_bytes())


def assert_is_clean(path, residual_sums, strided_shortcuts):
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
    # One more pools after an ImageNet network's first convolution.
    assert counts["MAX_POOL_2D"] == strided_shortcuts
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
    assert_is_clean(path, residual_sums=9, strided_shortcuts=2)
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
    assert_is_clean(path, residual_sums=16, strided_shortcuts=3 + 1)


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


@pytest.fixture(scope="module")
def small_model():
    """For what does not depend on the model: it converts in a moment."""
    images = keras.Input((12, 12, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu")(images)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    outputs = keras.layers.Softmax()(x)
    return keras.Model(images, outputs, name="small")


@pytest.fixture(scope="module")
def calibration():
    images = np.random.default_rng(0).random((20, 12, 12, 2), np.float32)
    return tf.data.Dataset.from_tensor_slices(images).batch(8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sub-network whose weights weigh more than its graph, and its file's size."""
    keras.utils.set_random_seed(0)
    network = ResNet20(input_shape=(12, 12, 2), width=0.5)
    model = network.sub_network((0.75,))
    result = to_tflite(model, tmp_path_factory.mktemp("whole") / "whole.tflite")
    return model, result.size_bytes


@pytest.mark.parametrize(
    ("quantize", "part"), [("float16", 0.6), ("dynamic", 0.4), ("int8", 0.4)]
)
def test_quantized_files_are_small_and_agree(
    whole, tmp_path, quantize, part, calibration
):
    model, size = whole
    before = [weight.numpy() for weight in model.weights]
    path = tmp_path / "quantized.tflite"
    result = to_tflite(model, path, quantize, calibrate_with=calibration)
    assert result.size_bytes == path.stat().st_size < part * size
    assert result.difference < 0.02
    for weight, old in zip(model.weights, before):
        np.testing.assert_array_equal(weight, old)
    (images,) = calibration.unbatch().batch(20)
    outputs = run_tflite(path, images)
    np.testing.assert_allclose(outputs, model(images), atol=0.02)
    (inputs,) = open_tflite(path).get_input_details()
    (features,) = open_tflite(path).get_output_details()
    dtype = np.int8 if quantize == "int8" else np.float32
    assert inputs["dtype"] == features["dtype"] == dtype
    assert set(operators(path)) <= {
        *("ADD", "CONV_2D", "FULLY_CONNECTED", "MEAN", "RESIZE_BILINEAR", "SOFTMAX"),
        *(["DEQUANTIZE"] if quantize == "float16" else []),
        "MAX_POOL_2D",
    }


def test_int8_needs_images(small_model, tmp_path):
    with pytest.raises(ValueError, match="int8 needs `calibrate_with`"):
        to_tflite(small_model, tmp_path / "a.tflite", "int8")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("kind", ["array", "batches", "labelled"])
def test_images_to_calibrate_with_come_as_people_have_them(
    small_model, tmp_path, calibration, dtype, kind
):
    images = np.concatenate([batch for batch in calibration.as_numpy_iterator()])
    images = (images if dtype != "uint8" else 20 * images).astype(dtype)
    given = {
        "array": images,
        "batches": tf.data.Dataset.from_tensor_slices(images).batch(5),
        "labelled": tf.data.Dataset.from_tensors((images, np.zeros(len(images)))),
    }[kind]
    path = tmp_path / "x.tflite"
    result = to_tflite(small_model, path, "int8", calibrate_with=given)
    assert result.difference < 0.1


def test_images_that_are_none_are_named_before_the_work(
    small_model, tmp_path, monkeypatch
):
    def convert(*args, **kwargs):
        raise AssertionError("It has begun.")

    monkeypatch.setattr("keras_resizable.export.tflite._converted", convert)
    nothing = tf.data.Dataset.from_generator(
        lambda: iter(()), output_signature=tf.TensorSpec((None, 12, 12, 2))
    )
    for bad, message in (
        (nothing, "holds no batch of images"),
        ([np.zeros((1, 12, 12, 2))], "Received: list"),
        (np.zeros((1, 9, 12, 2)), "9, 12, 2"),
        (tf.data.Dataset.from_tensors(np.zeros((1, 12, 12, 2))).repeat(), "never"),
    ):
        with pytest.raises(ValueError, match=message):
            to_tflite(small_model, tmp_path / "x.tflite", "int8", calibrate_with=bad)
    assert not any(tmp_path.iterdir())


def test_files_say_what_they_are(small_model, tmp_path):
    path = tmp_path / "model.tflite"
    to_tflite(small_model, path, metadata={"note": ["a", "ü"]})
    assert read_metadata(path) == {
        "name": "small",
        "version": keras_resizable.__version__,
        "quantize": "none",
        "note": ["a", "ü"],
    }
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    assert model.description == b"keras_resizable file, see the metadata"
    assert b"keras_resizable" in [entry.name for entry in model.metadata]


def test_no_folder_that_is_gone_is_told(small_model, tmp_path):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = tf.get_logger()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel("INFO")
    try:
        to_tflite(small_model, tmp_path / "file.tflite")
        assert not records and logger.level == logging.INFO
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def test_buffers_are_aligned(make_network, tmp_path):
    """As the schema asks, so that they can be used where they are."""
    path = tmp_path / "model.tflite"
    to_tflite(make_network().sub_network(()), path)
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    positions = [
        buffer._tab.Vector(buffer._tab.Offset(4))
        for buffer in map(model.Buffers, range(model.BuffersLength()))
        if not buffer.DataIsNone()
    ]
    assert len(positions) > 5 and not any(position % 16 for position in positions)


def test_sub_networks_convert_one_after_the_other(
    make_network, tmp_path, calibration, monkeypatch
):
    network = make_network()
    configs = [(1.0,), (0.5, 0.75)]

    def convert(configs=configs, **options):
        return list(to_tflite_files(network, configs, tmp_path, **options))

    first = next(to_tflite_files(network, configs, tmp_path))
    assert first.config == "1.0,1.0" and first.operators["ADD"] == 3
    files = convert()  # The first is there.
    assert [file.difference is None for file in files] == [True, False]
    assert all(file.difference is None for file in convert())
    path, metadata = files[1].path, files[1].metadata
    assert metadata["config"] == "0.5,0.75" and metadata["scales"] == [1.0, 0.75, 0.5]
    # What is damaged, or of other settings or weights, is converted again.
    path.write_bytes(path.read_bytes()[:-1])
    assert [file.difference is None for file in convert()] == [True, False]
    for options in ({"metadata": {"note": "a"}}, {"calibrate_with": calibration}):
        (file,) = convert(configs[:1], **options)
        assert file.difference is not None
    network.head.weights[0].assign_add(tf.ones_like(network.head.weights[0]))
    (file,) = convert(configs[:1], calibrate_with=calibration)
    assert file.difference is not None
    with pytest.raises(ValueError, match="0.3"):
        convert([(1.0,), (0.3,)])


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_bundle_has_the_same_sub_networks(
    make_network, randomize, tmp_path, calibration, quantize
):
    network = make_network(stackwise_num_filters=(16, 32), input_shape=(12, 12, 2))
    randomize(network)
    configs = [(0.75, 0.5), (1.0,), (0.5, 0.5)]
    files = to_tflite_files(
        network, configs, tmp_path, quantize=quantize, calibrate_with=calibration
    )
    paths = [file.path for file in files]
    bundle = tmp_path / "bundle.tflite"
    result = to_bundle(paths, bundle)
    assert result.size_bytes == bundle.stat().st_size
    metadata = read_metadata(bundle)["signatures"]
    assert list(metadata) == ["scale_0.75_0.5", "scale_1.0_1.0", "scale_0.5_0.5"]
    (images,) = calibration.unbatch().batch(20)
    for name, path in zip(metadata, paths):
        assert metadata[name] == read_metadata(path)
        np.testing.assert_array_equal(
            run_tflite(bundle, images, name), run_tflite(path, images)
        )
    np.testing.assert_array_equal(  # The first is the one that runs if not told.
        run_tflite(bundle, images), run_tflite(paths[0], images)
    )
    with pytest.raises(ValueError, match=r"'scale_0.75.*'other'"):
        run_tflite(bundle, images, "other")
    if quantize != "none":  # All weights are the same bytes: they are stored once.
        weights = [
            buffer.data.nbytes
            for buffer in schema.ModelT.InitFromPackedBuf(
                bundle.read_bytes(), 0
            ).buffers
            if buffer.data is not None
        ]
        assert sum(size >= 16 * 16 * 9 for size in weights) == 6
    assert_written_once(bundle)


def assert_written_once(path):
    """Equal names and zero points of tensors, of which there are a lot."""
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    places = collections.defaultdict(set)
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            table = tensor._tab
            places[tensor.Name()].add(table.Indirect(table.Offset(10) + table.Pos))
            points = tensor.Quantization() and tensor.Quantization().ZeroPointAsNumpy()
            if isinstance(points, np.ndarray):
                places[points.tobytes()].add(points.ctypes.data)
    assert len(places) > 30
    assert all(len(of_one) == 1 for of_one in places.values())


def test_what_is_no_bundle_is_refused(make_network, tmp_path):
    network = make_network()
    (path,) = to_tflite_files(network, [()], tmp_path)
    to_tflite(network.sub_network(()), tmp_path / "other.tflite")
    output = tmp_path / "bundle.tflite"
    with pytest.raises(ValueError, match=r"different sub-networks.*Received: \[\]"):
        to_bundle([], output)
    with pytest.raises(ValueError, match="different sub-networks.*scale.*scale"):
        to_bundle([path, path], output)
    with pytest.raises(ValueError, match="other.tflite', .None"):
        to_bundle([tmp_path / "other.tflite"], output)
    with pytest.raises(ValueError, match="bundle.lite"):
        to_bundle([path], tmp_path / "bundle.lite")
    with pytest.raises(FileNotFoundError, match=r"none.tflite"):
        to_bundle([tmp_path / "none.tflite"], output)
    assert not output.exists()


def test_names_of_files(make_network):
    network = make_network()
    assert file_name(network, (0.75,)) == "narrow_resnet_0.75_1.0.tflite"
    assert (
        file_name(network, (0.75,), "float16")
        == "narrow_resnet_0.75_1.0_float16.tflite"
    )


def test_bad_arguments_are_named(small_model, tmp_path):
    model = small_model
    with pytest.raises(ValueError, match="model.lite"):
        to_tflite(model, tmp_path / "model.lite")
    with pytest.raises(ValueError, match="quantize='int4'"):
        to_tflite(model, tmp_path / "model.tflite", quantize="int4")
    with pytest.raises(ValueError, match=r"`network.sub_network.*narrow_resnet"):
        to_tflite(narrow_resnet(), tmp_path / "model.tflite")
    images = keras.Input((4, 4, 2))
    two = keras.Model([images, keras.Input((4, 4, 2))], images)
    with pytest.raises(ValueError, match="`model` must be .* one input"):
        to_tflite(two, tmp_path / "model.tflite")
    images = keras.Input((None, None, 2))
    with pytest.raises(ValueError, match=r"fixed input shape.*\(None, None, 2\)"):
        to_tflite(keras.Model(images, 2 * images), tmp_path / "model.tflite")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        to_tflite(model, tmp_path / "file" / "model.tflite")


def test_a_conversion_that_does_not_agree_leaves_no_file(
    small_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(Runner, "__call__", lambda runner, images: [np.ones((1, 3))])
    with pytest.raises(
        ValueError, match="differs from its model.*'output_0': .*off by"
    ):
        to_tflite(small_model, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tflite_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tflite") / "model.tflite"
    to_tflite(narrow_resnet().sub_network((0.75,)), path)
    return path


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.tflite"):
        open_tflite(tmp_path / "none.tflite")


def with_dense_layers():
    """Of the operators whose versions depend on types."""
    images = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(images)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.Resizing(6, 6)(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.add([x, keras.layers.Conv2D(4, 1)(x)])
    x = keras.layers.Dense(8, activation="relu")(keras.layers.Flatten()(x))
    return keras.Model(images, keras.layers.Dense(5, activation="softmax")(x))


def versions_in(content):
    """The versions of operators, and the oldest runtime that a file says it takes."""
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if k.isupper()}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    versions = collections.defaultdict(int)
    for code in model.operatorCodes:
        name = names[code.builtinCode]
        versions[name] = max(versions[name], code.version)
    (entry,) = (e for e in model.metadata if e.name == b"min_runtime_version")
    data = model.buffers[entry.buffer].data
    return versions, bytes(data).rstrip(b"\0").decode()


@pytest.fixture(scope="module")
def files_of_all_kinds(tmp_path_factory):
    """A file of each kind, and the images that it was compared on."""
    folder = tmp_path_factory.mktemp("kinds")
    keras.utils.set_random_seed(0)
    model = with_dense_layers()
    images = np.random.default_rng(0).random((16, 12, 12, 3), np.float32)
    paths = {}
    for quantize, io in (
        ("none", "int8"),
        ("float16", "int8"),
        ("dynamic", "int8"),
        ("int8", "int8"),
        ("int8", "uint8"),
        ("int8", "float32"),
    ):
        path = folder / f"{quantize}_{io}.tflite"
        to_tflite(
            model,
            path,
            quantize,
            io=io,
            calibrate_with=images,
            labels=list("abcde"),
            input_range=(0, 1),
            metadata={"signature": f"{quantize}_{io}"},
        )
        paths[quantize, io] = path
    return paths, images


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning")
def test_operators_have_the_versions_that_their_types_need(files_of_all_kinds):
    """Those of TensorFlow's converter, which older runtimes go by."""
    paths, images = files_of_all_kinds
    versions, runtime = versions_in(paths["none", "int8"].read_bytes())
    assert versions["FULLY_CONNECTED"] == versions["CONV_2D"] == 1
    versions, runtime = versions_in(paths["dynamic", "int8"].read_bytes())
    # Of weights with a scale for each channel.
    assert versions["FULLY_CONNECTED"] == 12 and runtime == "2.17.0"
    assert versions["CONV_2D"] == 5 and versions["DEPTHWISE_CONV_2D"] == 6
    # What the converter writes of the same model.
    converter = tf.lite.TFLiteConverter.from_keras_model(with_dense_layers())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    expected, expected_runtime = versions_in(converter.convert())
    versions, runtime = versions_in(paths["int8", "int8"].read_bytes())
    assert runtime == expected_runtime
    del versions["RESHAPE"]  # Which the two write otherwise, with its shape.
    assert versions == {name: expected[name] for name in versions}


def test_a_bundle_takes_the_newest_runtime_of_its_files(files_of_all_kinds, tmp_path):
    paths, images = files_of_all_kinds
    chosen = [paths["none", "int8"], paths["dynamic", "int8"]]
    to_bundle(chosen, tmp_path / "bundle.tflite")
    _, runtime = versions_in((tmp_path / "bundle.tflite").read_bytes())
    assert runtime == "2.17.0"


@pytest.fixture(scope="module")
def old_runtime(tmp_path_factory):
    """The newest `tflite-runtime` that pip has, in an environment of its own."""
    folder = tmp_path_factory.mktemp("old_runtime")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder]
    done = subprocess.run([*command, "tflite-runtime", "numpy<2"], capture_output=True)
    if done.returncode:
        pytest.skip("pip has no tflite-runtime.")
    return folder


def test_an_old_runtime_answers_right_or_refuses(files_of_all_kinds, old_runtime):
    paths, images = files_of_all_kinds
    parts = [paths["int8", "uint8"], paths["none", "int8"]]
    paths = paths | {"bundle": to_bundle(parts, old_runtime / "bundle.tflite").path}
    code = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
for path in sys.argv[2:]:
    try:
        interpreter = Interpreter(path)
        interpreter.allocate_tensors()
    except ValueError as error:
        print("refused", repr(error))
        continue
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in np.load(sys.argv[1]):
        values, (scale, zero) = image[None], into["quantization"]
        if scale:
            limits = np.iinfo(into["dtype"])
            values = np.rint(values / scale + zero).clip(limits.min, limits.max)
        interpreter.set_tensor(into["index"], values.astype(into["dtype"]))
        interpreter.invoke()
        answer = interpreter.get_tensor(out["index"])
        scale, zero = out["quantization"]
        answers.append((answer.astype(np.float32) - zero) * (scale or 1))
    np.save(path + ".npy", np.concatenate(answers))
    print("runs")
"""
    np.save(old_runtime / "images.npy", images)
    done = subprocess.run(
        [sys.executable, "-c", code, old_runtime / "images.npy", *paths.values()],
        env={**os.environ, "PYTHONPATH": str(old_runtime)},
        capture_output=True,
        text=True,
        check=True,
    )
    said = dict(zip(paths, done.stdout.splitlines(), strict=True))
    assert "'FULLY_CONNECTED' version '12'" in said.pop(("dynamic", "int8"))
    for kind, line in said.items():
        assert line == "runs", kind
        got = np.load(f"{paths[kind]}.npy")
        np.testing.assert_allclose(got, run_tflite(paths[kind], images), atol=0.01)


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_a_global_policy_changes_nothing(policy, tmp_path):
    """It was set for other models: a float32 one is converted as it is."""
    network = NARROW["ShuffleNetV2"](
        scales=(1.0, 0.5), input_shape=(32, 32, 3), classes=3, name="narrow"
    )
    images = np.random.default_rng(0).random((64, 32, 32, 3), np.float32)
    config = "0.5,0.5,0.5"
    keras.config.set_dtype_policy(policy)
    try:
        model = network.sub_network(config)
        to_tflite(model, tmp_path / "one.tflite")
        for quantize in ("none", "int8"):
            files = to_tflite_files(
                network,
                [config],
                tmp_path,
                quantize=quantize,
                io="float32",
                calibrate_with=images,
            )
            for file in files:
                assert file.path.exists()
        piece = pieces_of_configs(network, [config])[0][1]
        convert(cut_piece(network, piece), tmp_path / "piece.tflite")
    finally:
        keras.config.set_dtype_policy("float32")
    expected = network(images, config=config)
    got = run_tflite(tmp_path / "one.tflite", images)
    np.testing.assert_allclose(model(images), expected, atol=1e-5)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_what_keras_has_quantized_is_told(tmp_path):
    model = with_dense_layers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras, of layers that it cannot quantize.
        model.quantize("int8")
    with pytest.raises(ValueError, match="Layer 'dense.*computes in int8.*quantizes"):
        to_tflite(model, tmp_path / "model.tflite")


def test_rounding_of_kernels_does_not_shift_features():
    """Batch statistics follow it, and all is as before afterwards."""
    inputs = keras.Input((12, 12, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3)(inputs))
    x = layers.DepthwiseConv2D(3)(layers.ReLU()(x))
    model = keras.Model(inputs, layers.BatchNormalization()(layers.Dropout(0.5)(x)))
    random = np.random.default_rng(0)
    # Of a mean that is large for their differences.
    images = random.normal(9, 0.5, (64, 12, 12, 3)).astype(np.float32)
    keras_resizable.calibrate(model, images)
    before, expected = model.get_weights(), model(images[:8])

    def error(seen):
        with on_int8_grid(model, seen):
            return np.abs(model(images[:8]) - expected).mean()

    assert error(images) < error(None) / 2
    assert error(images / 5) == error(None)  # Unlike those of the training.
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
