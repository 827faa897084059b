"""The package as an index would have it; `make test` tests what it installs."""

import importlib.metadata
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
