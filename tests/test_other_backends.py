"""Cut-out models without this library: on Keras's JAX backend, and as ONNX."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import randomize_batch_norms
from narrow_networks import NARROW

import keras_resizable

CODE = """
import pathlib
import sys
import keras
import numpy as np

assert keras.backend.backend() == "jax"
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    model, arrays = keras.saving.load_model(path), np.load(path.with_suffix(".npz"))
    images = arrays["images"]
    outputs = np.asarray(model(images, training=False))
    np.testing.assert_allclose(outputs, arrays["outputs"], rtol=1e-4, atol=1e-5)
    print(path.stem)
# The last one learns, too.
model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
before = [np.asarray(variable) for variable in model.trainable_variables]
(loss,) = model.fit(images, np.arange(6) % 3, verbose=0).history["loss"]
assert np.isfinite(loss)
after = [np.asarray(variable) for variable in model.trainable_variables]
assert not any(map(np.array_equal, before, after))
assert not {"tensorflow", "keras_resizable"} & set(sys.modules)
"""
NAMES = ("MobileNetV2", "ResNet20", "ShuffleNetV2", "converted")


def converted(scales, **options):
    """With hard-swish, and attention over channels by a reshape and a product."""
    images = keras.Input(options["input_shape"])
    x = keras.layers.Conv2D(4, 3, padding="same")(images)
    for filters in (6, 8):
        x = keras.layers.Conv2D(filters, 3, 2, padding="same")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("hard_silu")(x)
        weights = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        weights = keras.layers.Conv2D(filters, 1, activation="hard_sigmoid")(weights)
        x = keras.layers.Multiply()([x, weights])
        y = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = keras.layers.Add()([x, keras.layers.BatchNormalization()(y)])
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, keras.layers.Dense(3, "softmax")(x))
    return keras_resizable.from_keras(model, scales)


@pytest.fixture(scope="module")
def cut_outs():
    """By name: a cut-out model, images and its outputs."""
    found = {}
    for name in NAMES:
        keras.utils.set_random_seed(0)
        options = {"scales": (1.0, 0.75), "input_shape": (32, 32, 3)}
        if name == "converted":
            network = converted(**options)
        else:
            network = NARROW[name](classes=3, name=name.lower(), **options)
        randomize_batch_norms(network)
        model = network.sub_network("0.75", check_statistics=False)
        random = np.random.default_rng(0)
        images = random.uniform(-1, 1, (6, 32, 32, 3)).astype(np.float32)
        found[name] = model, images, model(images, training=False).numpy()
    return found


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_cut_outs_run_and_learn_on_jax(cut_outs, tmp_path):
    for name, (model, images, outputs) in cut_outs.items():
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", images=images, outputs=outputs)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(NAMES)


@pytest.mark.filterwarnings("ignore")  # Of tf2onnx.
@pytest.mark.parametrize("name", NAMES)
def test_cut_outs_run_as_onnx(cut_outs, name, tmp_path):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, images, outputs = cut_outs[name]
    path = tmp_path / "model.onnx"
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (entry,) = session.get_inputs()
    (answers,) = session.run(None, {entry.name: images})
    np.testing.assert_allclose(answers, outputs, rtol=1e-4, atol=1e-5)
