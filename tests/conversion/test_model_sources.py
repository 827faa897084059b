"""Models of keras.applications and of files, for recipes."""

import inspect
import json
import pathlib

import keras
import numpy as np
import processes
import pytest
from foreign_models import body, classify
from image_folders import write_random_set
from keras import layers

import keras_resizable
from keras_resizable import recipes, runs
from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.workshop.recipes.building import make_network
from keras_resizable.workshop.recipes.source_models import (
    _preprocessed,
    application_model,
)

ROOT = pathlib.Path(__file__).parents[2]
SHAPE = (32, 32, 3)


@pytest.mark.parametrize(
    "name", ["ResNet50", "DenseNet121", "MobileNetV2", "EfficientNetB0"]
)
def test_images_are_prepared_as_keras_does(name):
    """Each is of another kind: means and order of channels, deviations, range, none."""
    module = inspect.getmodule(getattr(keras.applications, name))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    images = keras.Input(SHAPE)
    model = keras.Model(images, _preprocessed(module, images))
    expected = module.preprocess_input(pixels.copy())
    got = model(pixels / 127.5 - 1)
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_a_model_of_keras_takes_the_settings_of_a_recipe():
    recipe = recipes.resolve(
        "sample_resnet20",
        overrides={
            "network": "keras.applications.MobileNetV2",
            "scales": (1.0, 0.5),
            "width": 0.35,
            "dropout": 0.1,
            "weight_decay": 0.01,
            "synchronized": True,
        },
    )
    network = make_network(recipe, "resizable", None, image_shape=SHAPE, classes=5)
    assert network.output_shape == (None, 5)
    found = [layer for part in network.parts for layer in part.model.layers]
    norms = [layer for layer in found if isinstance(layer, ScaleAwareBatchNorm)]
    assert norms and all(norm.synchronized for norm in norms)
    assert {norm.num_scales for norm in norms} == {1, 2}  # Of the stem, of stages.
    kernels = [w for w in network.trainable_weights if len(w.shape) == 4]
    assert all(kernel.regularizer is not None for kernel in kernels)
    assert any(isinstance(layer, layers.Dropout) for layer in found)


def write_model(path, shape=(28, 28, 1), classes=2):
    images = keras.Input(shape)
    outputs = layers.Softmax()(classify(body(images), classes))
    keras.Model(images, outputs, name="mine").save(path)


def test_what_is_no_source_is_named(tmp_path):
    write_model(tmp_path / "mine.keras")
    (tmp_path / "broken.keras").write_bytes(b"no model")
    keras_resizable.ResNet20((1.0, 0.5)).save(tmp_path / "ours.keras")

    def make(network, **changes):
        recipe = recipes.resolve("sample_resnet20", overrides={"network": network})
        options = {"image_shape": (28, 28, 1), "classes": 2, **changes}
        return make_network(recipe, "resizable", None, **options)

    assert make(f"{tmp_path}/mine.keras").space.size == 9
    for network, changes, message in (
        ("keras.applications.ResNet20", {}, "'ConvNeXtBase', .*model='ResNet20'"),
        ("EfficientNetB0", {}, "keras.applications.*network='EfficientNetB0'"),
        (f"{tmp_path}/broken.keras", {}, "broken.keras is damaged"),
        (f"{tmp_path}/ours.keras", {}, "already holds a resizable network"),
        (f"{tmp_path}/mine.keras", {"classes": 3}, r"\(None, 2\), but .* 3 classes"),
        (
            f"{tmp_path}/mine.keras",
            {"image_shape": (32, 32, 1)},
            r"\(28, 28, 1\).* Received: input_shape=\(32, 32, 1\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make(network, **changes)
    with pytest.raises(FileNotFoundError, match="none.keras"):
        make(f"{tmp_path}/none.keras")
    with pytest.raises(ValueError, match="ResNet50 has no width option.*width=0.5"):
        application_model("ResNet50", input_shape=SHAPE, classes=2, width=0.5)


def test_a_model_of_others_goes_through_all_scripts(tmp_path):
    write_random_set(tmp_path / "data", (64, 32), size=28, contrast=20)
    write_model(tmp_path / "mine.keras", (28, 28, 3))

    def run(script, *arguments):
        result = processes.run(ROOT / script, *arguments, folder=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    small = ("--epochs=1", "--batch_size=48", "--split_batch=true")
    small += ("--from=mine.keras", "--teacher=mine.keras", "--dataset=data")
    small += ("--image_size=28",)
    run("train/supernet.py", *small)
    settings = json.loads((tmp_path / "runs/latest/recipe.json").read_text())
    assert settings["recipe"]["network"] == "mine.keras"
    assert "0.9,0.6" in run("train/search.py", "--config=0.9,0.6", "--config=1.0")
    # The list of the run, and what was added to it.
    table = runs.Run(tmp_path / "runs/latest").table()
    assert table.configs == ["0.9,0.6", "1.0,1.0"]
    assert "0.7,1.0" in run("train/search.py", "--config=0.7")
    output = run("train/finetune.py", "--max_flops=1e12", "--epochs=1")
    assert "top-1 after" in output
    assert "by 0.9,0.6" in run(
        "train/adapt.py", "--router", "--config=0.9,0.6", "--config=1.0", "--epochs=1"
    )
    assert "scale_0.9_0.6, any" in run("train/export.py", "--config=0.9,0.6")
    output = run("tflite/convert.py", "--config", "0.9,0.6", "--quantize=int8")
    assert "mine_0.9_0.6_int8.tflite: 0.9,0.6" in output
    network = runs.Run(tmp_path / "runs/latest").network()
    assert network.name == "mine" and network.space.scales == (1.0, 0.75, 0.5)
