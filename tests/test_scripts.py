"""The scripts as a user runs them, one after the other in one folder."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pandas
import pytest
from idx_files import write_idx

ROOT = pathlib.Path(__file__).parents[1]


def run(script, *arguments, folder, fails=False):
    result = subprocess.run(
        [sys.executable, ROOT / script, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    if fails:
        assert "Traceback" not in result.stderr
        return result.stderr[result.stderr.index("error: ") :]
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder where the demo has run, on a few images of two kinds."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "data").mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 64), ("t10k", 32)):
        labels = np.arange(count, dtype=np.uint8) % 2
        images = generator.integers(0, 100, (count, 16, 16), np.uint8)
        images += 100 * labels[:, None, None]
        write_idx(folder / "data", f"{part}-images-idx3-ubyte", images)
        write_idx(folder / "data", f"{part}-labels-idx1-ubyte", labels)
    arguments = ("--data_dir=data", "--epochs=2", "--batch_size=16")
    output = run("train/demo.py", *arguments, folder=folder)
    return folder, output


def test_demo_leaves_what_it_says(folder):
    folder, output = folder
    latest = folder / "runs" / "latest"
    files = {path.name for path in latest.iterdir()}
    assert files >= {
        "calibration.npz",
        "chosen.keras",
        "history.csv",
        "recipe.json",
        "resnet20_1.0_1.0_1.0.tflite",
        "supernet.keras",
        "table.csv",
    }
    for name in files:
        assert name in output
    table = pandas.read_csv(latest / "table.csv").set_index("config")
    assert len(table) == 27
    assert len(pandas.read_csv(latest / "history.csv")) == 2
    assert json.loads((latest / "recipe.json").read_text())["epochs"] == 2
    (chosen,) = (line.split()[1] for line in output.splitlines() if "chosen " in line)
    within = table[table.flops <= table.flops["1.0,1.0,1.0"] / 2]
    assert chosen in within.index
    assert within.top1[chosen] == within.top1.max()


def test_convert_then_benchmark(folder):
    folder, _ = folder
    output = run("tflite/convert.py", "--config", "0.75,0.5", folder=folder)
    assert "resnet20_0.75_0.5_1.0.tflite: 0.75,0.5,1.0" in output
    arguments = ("--config=0.5", "--quantize=float16", "--output=half.tflite")
    run("tflite/convert.py", *arguments, folder=folder)
    output = run("tflite/benchmark.py", "--runs=3", folder=folder)
    latest = folder / "runs" / "latest"
    for path in latest.glob("*.tflite"):
        assert path.name in output
    output = run("tflite/benchmark.py", "half.tflite", "--threads=2", folder=folder)
    assert "half.tflite" in output and "2 threads" in output


def test_bad_input_is_one_clear_error(folder, tmp_path):
    folder, _ = folder
    error = run("tflite/convert.py", "--config=0.9", folder=folder, fails=True)
    assert "0.9 of stage 0 is not one of (1.0, 0.75, 0.5)" in error
    assert "Valid is: python tflite/convert.py --config 0.5,0.5,0.5" in error
    error = run("tflite/convert.py", "--output=x.lite", folder=folder, fails=True)
    assert "x.lite" in error
    error = run("tflite/convert.py", folder=tmp_path, fails=True)
    assert "No network at runs/latest/supernet.keras" in error
    error = run("tflite/benchmark.py", folder=tmp_path, fails=True)
    assert "No .tflite files in runs/latest" in error
    error = run("train/supernet.py", "--scales=1.0,x", folder=tmp_path, fails=True)
    assert "'x' is not a number" in error
    error = run("train/supernet.py", "--data_dir=.", folder=tmp_path, fails=True)
    assert "No train-images-idx3-ubyte" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "script",
    ["train/supernet.py", "train/demo.py", "tflite/convert.py", "tflite/benchmark.py"],
)
def test_help_opens_with_commands(script):
    result = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True
    )
    assert f"    python {script}" in result.stdout.split("flags:")[0]
