"""The package as it is installed: a wheel, without the repository around it."""

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = ROOT / "keras_resizable"

# A network of each kind; the deeper ResNets only take longer.
PROGRAM = """
import pathlib
import sys

import keras
import keras_resizable
from keras_resizable import adapt, callbacks, data, devices, export, search
from keras_resizable.models import resnet

DEEP = ("ResNet56", "ResNet101", "ResNet152")
folder = pathlib.Path(sys.argv[1])
assert pathlib.Path(keras_resizable.__file__).parent == folder / "keras_resizable"
for name in sorted(keras_resizable.__all__):
    make = getattr(keras_resizable, name)
    if (name[-1].isdigit() or name == "ResizableNet") and name not in DEEP:
        network = make(scales=(1.0,), input_shape=(32, 32, 1), classes=10)
        assert network.space.num_stages >= 3, name

images = data.load("sample")
network = resnet.ResNet(
    resnet.small_image_stem,
    resnet.basic_block,
    stackwise_num_blocks=(1, 2),
    stackwise_num_filters=(4, 6),
    scales=(1.0, 0.5),
    input_shape=images.image_shape,
    classes=10,
    name="narrow",
)
network.compile("sgd", "categorical_crossentropy")
network.train_on_batch(*next(iter(data.train_dataset(images, 8))))
test = data.eval_dataset(images.test, images.image_shape, 8).take(1)
configs = [(1.0, 1.0), (0.5, 0.5)]
table = search.build_table(network, test, configs, test, folder, verbose=False)
assert table["top1"].between(0, 1).all()
sub_network = network.sub_network(configs[1], calibrate_with=test)
assert export.to_tflite(sub_network, folder / "sub.tflite")["size_bytes"] > 1000
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the working tree, built without the network."""
    version = importlib.metadata.version("setuptools")
    if int(version.split(".")[0]) < 77:
        pytest.skip(f"setuptools {version} is too old: pip install '.[dev]'")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        LIBRARY,
        source / "keras_resizable",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    pip("wheel", "--no-build-isolation", "--wheel-dir", source / "wheels", source)
    (wheel,) = (source / "wheels").iterdir()
    return wheel


def pip(command, *arguments):
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, *offline, *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for path in LIBRARY.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there


def test_it_works_where_it_is_installed(wheel, tmp_path):
    pip("install", "--target", tmp_path, wheel)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path],
        cwd=tmp_path,
        # Before the packages of this environment, and with them the editable one.
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
