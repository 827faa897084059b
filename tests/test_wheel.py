"""The package as it is installed: a wheel, without the repository around it."""

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

import keras_resizable

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = ROOT / "keras_resizable"
COMMAND = "keras_resizable_command.py"

PROGRAM = """
import pathlib
import sys

import keras_resizable
from keras_resizable import export, search

folder = pathlib.Path(sys.argv[1])
assert pathlib.Path(keras_resizable.__file__).parent == folder / "keras_resizable"

run = keras_resizable.train(
    "sample_resnet20", epochs=1, width=0.25, scales=(1.0, 0.5), num_images=128
)
network = run.network()
table = search.build_table(
    network,
    run.test_data().take(1),
    ["1.0", "0.5,0.5,0.5"],
    calibrate_with=run.calibration().take(1),
    folder=run.folder,
)
row = run.table().best(max_flops=table["1.0"]["flops"] - 1)
(converted,) = export.to_tflite_files(
    network, [row["config"]], run.folder, calibrate_with=run.calibration().take(1)
)
config, path, _ = converted
assert str(config) == "0.5,0.5,0.5"
assert export.read_metadata(path)["config"] == str(config)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that the working tree's sdist makes, built without the network."""
    version = importlib.metadata.version("setuptools")
    if int(version.split(".")[0]) < 77:
        pytest.skip(f"setuptools {version} is too old: pip install '.[dev]'")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", COMMAND):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        LIBRARY,
        source / "keras_resizable",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    run("build", "--no-isolation", source)
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


def run(module, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_index_would_take_it(wheel):
    run("twine", "check", "--strict", *wheel.parent.iterdir())


def test_its_version_is_the_library_s(wheel):
    assert wheel.name.split("-")[1] == keras_resizable.__version__


def test_everything_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for path in LIBRARY.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there | {COMMAND}


def test_it_works_where_it_is_installed(wheel, tmp_path):
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    run("pip", "install", *offline, "--target", tmp_path, wheel)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path],
        cwd=tmp_path,
        # Before the packages of this environment, and with them the editable one.
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
