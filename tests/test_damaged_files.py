"""Files with bytes that changed, are missing or are too many, in seeded ways."""

import json
import random

import keras
import numpy as np
import pandas
import pytest
from conftest import narrow_resnet

from keras_resizable import data, search
from keras_resizable.export import read_metadata, to_bundle, to_tflite_files
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.export.tflite import convert
from keras_resizable.search.latency import _read as read_latency_cache
from keras_resizable.search.table import ImageResults
from keras_resizable.workshop.data.kept_images import load_images, save_images
from keras_resizable.workshop.runs import keras_files


def damaged(content, count, seed=0):
    """Contents that differ from the one given."""
    generator = random.Random(seed)
    while count:
        changed = bytearray(content)
        kind = generator.choice(["flip", "many", "cut", "begin", "insert", "zero"])
        place = generator.randrange(len(content))
        if kind == "flip":
            changed[place] ^= 1 << generator.randrange(8)
        elif kind == "many":
            for _ in range(20):
                changed[generator.randrange(len(content))] = generator.randrange(256)
        elif kind == "cut":
            del changed[place:]
        elif kind == "begin":
            del changed[:place]
        elif kind == "insert":
            changed[place:place] = generator.randbytes(generator.randrange(1, 40))
        else:
            changed[place : place + 100] = bytes(len(changed[place : place + 100]))
        if changed != content:
            count -= 1
            yield bytes(changed)


@pytest.fixture(scope="module")
def network():
    return narrow_resnet(stackwise_num_blocks=(1,), stackwise_num_filters=(4,))


@pytest.fixture(scope="module")
def tflite_files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = [file.path for file in to_tflite_files(network, [(1.0,), (0.5,)], folder)]
    to_bundle(paths, folder / "bundle.tflite")
    return paths[0], folder / "bundle.tflite"


@pytest.mark.parametrize("number", [0, 1])
def test_tflite_files(tflite_files, tmp_path, number):
    path = tmp_path / "model.tflite"
    whole = tflite_files[number].read_bytes()
    lengths = random.Random(number).sample(range(len(whole)), 40)
    cuts = [whole[:length] for length in (*lengths, 0, 40, len(whole) - 1)]
    for content in (b"PK\3\4 something", *cuts):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=str(path)):
            open_tflite(path)


def test_networks(network, tmp_path):
    path = tmp_path / "network.keras"
    network.save(path)
    weights = network.get_weights()
    for content in damaged(path.read_bytes(), 60):
        path.write_bytes(content)
        try:
            loaded = keras_files.load_network(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:  # Of what a .zip does not need.
            for weight, other in zip(weights, loaded.get_weights()):
                np.testing.assert_array_equal(weight, other)


def test_code_in_a_network_does_not_run(tmp_path):
    images = keras.Input((2,))
    outputs = keras.layers.Lambda(lambda x: print("it ran") or x)(images)
    path = tmp_path / "network.keras"
    keras.Model(images, outputs).save(path)
    with pytest.raises(ValueError, match="network.keras(?s:.*)safe_mode"):
        keras_files.load_network(path)


def assert_named_or_read(read, path, content, count):
    for changed in damaged(content, count):
        path.write_bytes(changed)
        try:
            read(path)
        except ValueError as error:
            assert str(path) in str(error)


def test_tables(tmp_path):
    path = tmp_path / "table.npz"
    rows = {"config": ["1.0", "0.5"], "flops": [2, 1], "measured_phone": "a, b"}
    right = np.random.default_rng(0).random((2, 40)) < 0.5
    confidence = np.ones(40, np.float16)
    results = dict(zip(rows["config"], (ImageResults(r, confidence) for r in right)))
    search.Table(pandas.DataFrame(rows), results).save(path)
    assert_named_or_read(search.Table.load, path, path.read_bytes(), 150)


def test_calibration_images(tmp_path):
    path = tmp_path / "calibration.npz"
    images = np.zeros((3, 5, 5, 1), np.uint8)
    image_set = data.from_arrays((images, np.zeros(3, int)), (images, np.zeros(3, int)))
    save_images(image_set.train, path, (5, 5, 1))
    assert_named_or_read(load_images, path, path.read_bytes(), 30)


def test_known_latencies(tmp_path):
    path = tmp_path / "latency.json"
    records = {"a": {"turns_ms": [1.0, 2.0], "size_bytes": 3}}
    content = json.dumps(records, indent=1).encode()
    assert_named_or_read(read_latency_cache, path, content, 30)


def test_what_is_written_raw_can_be_read(network, tmp_path):
    path = tmp_path / "raw.tflite"
    convert(network.sub_network(()), path)
    assert read_metadata(path)["name"] == "narrow_resnet"
