"""What is saved loads again where nothing but the package was imported."""

import gc
import importlib
import json
import pathlib
import pkgutil
import re
import subprocess
import sys
import zipfile

import keras
import pytest
import tensorflow as tf
from conftest import narrow_resnet
from narrow_networks import NARROW

import keras_resizable
from keras_resizable import adapt
from keras_resizable.utils.messages import first_line
from keras_resizable.workshop.runs.keras_files import load_model

PROGRAM = """
import sys
import keras_resizable
from keras.saving import load_model

PARTS = ("sampler", "distillation")
for path in sys.argv[1:]:
    model = load_model(path)
    for part in (model, *(getattr(model, name, None) for name in PARTS)):
        print(type(part).__name__)
"""
PARTS = ("sampler", "distillation")
LARGEST, SMALLEST = (1.0, 1.0), (0.5, 0.5)


@pytest.fixture(scope="module")
def networks():
    """Networks by what is special about them."""
    network = narrow_resnet(scales=(1.0, 0.5))
    fixed = keras_resizable.FixedSampler([LARGEST])
    fair = keras_resizable.FairSampler()
    adaptive = adapt.AdaptiveNetwork(network, [LARGEST, SMALLEST])
    router = adaptive.router()
    router.compile("sgd", "sparse_categorical_crossentropy")
    cascade = adapt.Cascade(network, [SMALLEST, LARGEST], [0.5])
    compiled = {
        "fair": (fair, None),
        "uniform": (keras_resizable.UniformSampler(num_draws=2), None),
        "sandwich": (
            keras_resizable.SandwichSampler(),
            keras_resizable.InPlaceDistillation(0.3),
        ),
        "fixed": (fixed, None),
        "switching": (keras_resizable.PiecewiseSampler([3], [fixed, fair]), None),
    }
    networks = {"adaptive": adaptive, "cascade": cascade, "router": router}
    for name, (sampler, teaching) in compiled.items():
        networks[name] = narrow_resnet(scales=(1.0, 0.5))
        networks[name].compile(
            "sgd",
            "sparse_categorical_crossentropy",
            sampler=sampler,
            distillation=teaching,
        )
    networks["shuffled"] = NARROW["ShuffleNetV2"](
        scales=(1.0, 0.5), input_shape=(32, 32, 1), classes=3, name="shuffled"
    )
    return networks


def registered():
    """The names of the package's classes that Keras can save."""
    for module in pkgutil.walk_packages(keras_resizable.__path__, "keras_resizable."):
        if ".commands." not in module.name:  # Their flags would clash.
            importlib.import_module(module.name)
    objects = keras.saving.get_custom_objects()
    return {name for name in objects if name.startswith("keras_resizable>")}


def test_every_class_loads_where_only_the_package_is_imported(networks, tmp_path):
    paths = {name: tmp_path / f"{name}.keras" for name in networks}
    saved = set()
    for name, network in networks.items():
        network.save(paths[name])
        with zipfile.ZipFile(paths[name]) as file:
            config = json.dumps(json.loads(file.read("config.json")))
        saved |= set(re.findall(r'"registered_name": "(keras_resizable>\w+)"', config))
    # What holds a layer of others loads where that is known: tests/conversion.
    assert saved == registered() - {"keras_resizable>ScaleAwareBlock"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *paths.values()],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:3000]
    expected = [
        type(part).__name__
        for network in networks.values()
        for part in (network, *(getattr(network, name, None) for name in PARTS))
    ]
    assert done.stdout.splitlines() == expected


def test_a_class_that_is_not_registered_is_named_in_one_line(tmp_path):
    class Doubling(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    images = keras.Input((8, 8, 3))
    keras.Model(images, Doubling()(images)).save(tmp_path / "own.keras")
    del Doubling
    gc.collect()
    with pytest.raises(ValueError) as error:
        load_model(tmp_path / "own.keras")
    told = str(error.value)
    assert "Could not locate class 'Doubling'" in told
    assert "\n" not in told and "inbound_nodes" not in told


def test_the_reason_of_an_error_in_a_layer_is_told():
    """Keras puts a heading before it, and escapes that make it bold."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def upsample(images):
        return keras.layers.UpSampling2D(2, interpolation="bilinear")(images)

    with pytest.raises(TypeError) as error:
        upsample.get_concrete_function()
    assert first_line(error.value).startswith("Using a symbolic `tf.Tensor`")
