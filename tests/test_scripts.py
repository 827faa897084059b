"""The scripts as a user runs them, one after the other in one folder."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import keras
import numpy as np
import pandas
import processes
import pytest
import tensorflow as tf
from image_folders import write_random_set

import keras_resizable_command
from keras_resizable.adapt import AdaptiveNetwork, Cascade
from keras_resizable.export import read_metadata
from keras_resizable.search import Table
from keras_resizable.workshop.recipes.recipe import FIELDS
from keras_resizable.workshop.runs import folders as runs
from keras_resizable.workshop.runs.keras_files import load_network

ROOT = pathlib.Path(__file__).parents[1]
NETWORK = "--network=narrow_networks:narrow"  # Quicker to trace.
GUIDES = ROOT / "docs/guides"


def run(script, *arguments, folder, fails=False):
    result = processes.run(ROOT / script, *arguments, folder=folder)
    assert (result.returncode != 0) == fails, result.stdout + result.stderr
    if fails:
        assert "Traceback" not in result.stderr
        return result.stderr[result.stderr.index("error: ") :]
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder where the demo has run, on a few images of two kinds."""
    folder = tmp_path_factory.mktemp("scripts")
    write_random_set(folder / "data", (64, 32), size=16, contrast=20)
    arguments = ("--dataset=data", "--image_size=16", "--epochs=2", "--batch_size=16")
    output = run("train/demo.py", *arguments, NETWORK, folder=folder)
    return folder, output


def test_demo_leaves_what_it_says(folder):
    folder, output = folder
    latest = folder / "runs" / "latest"
    files = {path.name for path in latest.iterdir()}
    assert files >= {
        "calibration.npz",
        "evaluation.npz",
        "chosen.keras",
        "best.keras",
        "checkpoint.npz",
        "history.csv",
        "history.png",
        "pareto.png",
        "recipe.json",
        "report.html",
        "narrow_1.0_1.0_1.0.tflite",
        "supernet.keras",
        "table.npz",
        "tensorboard",
    }
    for name in files:
        assert (name in output) == (name != ".lock")
    table = Table.load(latest / "table.npz")
    assert len(table) == 27
    assert len(pandas.read_csv(latest / "history.csv")) == 2
    assert json.loads((latest / "recipe.json").read_text())["recipe"]["epochs"] == 2
    (chosen,) = (line.split()[1] for line in output.splitlines() if "chosen " in line)
    rows = table.to_frame()
    within = rows[rows.flops <= table["1.0"]["flops"] / 2].set_index("config")
    assert chosen in within.index
    assert within.top1[chosen] == within.top1.max()


def test_a_model_of_ones_own_becomes_a_compared_file(tmp_path):
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    mask = keras.layers.Conv2D(2, 1, activation="softmax")(x)
    number = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(images, {"mask": mask, "number": number})
    model.save(tmp_path / "mine.keras")
    write_random_set(tmp_path / "photos", (30, 10), 16)
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    arguments = ("--model=mine.keras", "--images=photos", "--quantize=int8")
    arguments += ("--labels=names.txt",)
    output = run(
        "tflite/convert.py",
        *(*arguments, "--io=uint8", "--max_loss=0.1"),
        folder=tmp_path,
    )
    assert "values from 0 to 255 (--input_range)" in output
    assert re.search(r"'mask': the same answer in [\d.]+ % of cases, ", output)
    (path,) = tmp_path.glob("*_int8_uint8.tflite")
    metadata = read_metadata(path)
    assert [one["name"] for one in metadata["comparison"]] == ["mask", "number"]
    assert metadata["input_range"] == [0.0, 255.0]
    assert metadata["labels"] == ["cat", "dog"]
    assert path.with_suffix(".labels.txt").read_text() == "cat\ndog\n"
    path.unlink()
    arguments += ("--max_loss=0",)
    error = run("tflite/convert.py", *arguments, folder=tmp_path, fails=True)
    assert "too far from its model in output 'mask'" in error
    assert not list(tmp_path.glob("*.tflite"))


def test_convert_then_benchmark(folder):
    folder, _ = folder
    output = run("tflite/convert.py", "--config", "0.75,0.5", folder=folder)
    assert "[1/1] narrow_0.75_0.5_1.0.tflite: 0.75,0.5,1.0" in output
    arguments = ("--config=0.5", "--quantize=float16", "--output=half.tflite")
    run("tflite/convert.py", *arguments, folder=folder)
    latest = folder / "runs" / "latest"
    left = latest / ".temporary-half.tflite"  # Of a conversion that was killed.
    left.touch()
    output = run("tflite/benchmark.py", "--runs=3", folder=folder)
    left.unlink()
    for path in latest.glob("*.tflite"):
        assert path.name in output
    # Of a network that is in no run, what it takes is not known.
    assert read_metadata(folder / "half.tflite")["input_range"] == [-1.0, 1.0]
    (folder / "elsewhere").mkdir()
    shutil.copy(latest / "supernet.keras", folder / "elsewhere")
    arguments = ("--model=elsewhere/supernet.keras", "--output=other.tflite")
    run("tflite/convert.py", *arguments, folder=folder)
    assert "input_range" not in read_metadata(folder / "other.tflite")
    output = run("tflite/benchmark.py", "half.tflite", "--threads=2", folder=folder)
    assert "half.tflite" in output and "2 threads" in output


def test_bundle_then_switch(folder):
    """The bundle, and the program of the guide that uses it."""
    folder, _ = folder
    latest = folder / "runs" / "latest"
    arguments = ("--bundle", "--config=1.0", "--config=0.5", "--config=0.5,0.5,0.5")
    output = run("tflite/convert.py", *arguments, folder=folder)
    assert "[3/3] narrow_0.5_0.5_0.5_int8.tflite: 0.5,0.5,0.5" in output
    assert "4 CONV_2D" in output and "points against Keras, " in output
    # Less than three files, though in one so narrow the graphs weigh as weights do.
    assert re.search(r"A bundle of 3: [12]\.\d\d x one file", output)
    assert "Wrote runs/latest/narrow_bundle_int8.tflite" in output
    metadata = read_metadata(latest / "narrow_bundle_int8.tflite")["signatures"]
    first = metadata["scale_1.0_1.0_1.0"]
    assert first["labels"] == ["0", "1"]
    assert first["input_range"] == [-1.0, 1.0] and first["quantize"] == "int8"
    output = run("tflite/convert.py", *arguments, folder=folder)
    assert output.count("unchanged") == 3

    guide = (GUIDES / "phone.md").read_text()
    (program,) = re.findall(r"```python\n(import time\n.*?)```", guide, re.DOTALL)
    program = program.replace("resnet20_bundle", "narrow_bundle")
    images = np.zeros((30, 1, 16, 16, 3), np.int8)
    for budget, expected in (("1e-9", "level == 2"), ("60", "level == 0")):
        program = re.sub(
            "budget, level = .*, 0", f"budget, level = {budget}, 0", program
        )
        code = f"import numpy as np\nimages = np.zeros({images.shape}, np.int8)\n"
        code += f"{program}\nassert {expected}, level\n"
        result = processes.run("-c", code, folder=folder)
        assert result.returncode == 0, result.stderr

    before = Table.load(latest / "table.npz").to_frame()
    arguments = ("--runs=2", "--name=desk")
    output = run("tflite/benchmark.py", *arguments, folder=folder)
    assert "narrow_bundle_int8.tflite:scale_0.5_0.5_0.5" in output
    slices = "runs/latest/narrow_bundle_int8.slices.json"
    written = f"runs/latest/benchmark_desk.json, {slices}, runs/latest/table.npz"
    assert f"Wrote {written}" in output
    of_each = json.loads((folder / slices).read_text())
    assert all(one["latency_ms"]["desk"] > 0 < one["flops"] for one in of_each)
    contents = json.loads((latest / "benchmark_desk.json").read_text())
    assert {"first_ms", "init_ms", "median_ms"} <= contents["results"][0].keys()
    table = Table.load(latest / "table.npz").to_frame().set_index("config")
    assert table.latency_ms_desk_int8["0.5,0.5,0.5"] > 0
    assert table.latency_ms_desk_int8.notna().sum() == 3
    assert table.latency_ms_desk.notna().sum() >= 1
    assert "int8" in table.measured_desk_int8["1.0,1.0,1.0"]
    assert before.top1.tolist() == table.top1.tolist()


def test_saved_model(folder):
    folder, _ = folder
    arguments = ("--config=0.75,0.5", "--config=1.0", "--with_preprocessing")
    output = run("train/export.py", *arguments, folder=folder)
    assert "serving_default, scale_0.75_0.5_1.0, scale_1.0_1.0_1.0, any" in output
    assert (folder / "runs" / "latest" / "saved_model" / "saved_model.pb").exists()


def test_search_then_fine_tune(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    arguments = (f"--dataset={folder[0] / 'data'}", "--epochs=1", "--batch_size=16")
    arguments += ("--image_size=16", NETWORK)
    run("train/supernet.py", *arguments, "--scales=1.0,0.5", folder=tmp_path)
    latest = tmp_path / "runs" / "latest"
    phone = {"config": ["1.0,1.0,1.0", "0.5,0.5,0.5"], "latency_ms_phone": [9, 5]}
    Table(pandas.DataFrame(phone)).save(tmp_path / "phone.npz")
    output = run(
        "train/search.py",
        "--config=0.5,0.5,0.5",
        "--measure=host",
        "--merge=phone.npz",
        "--max_flops=3e6",
        "--max_latency_ms=1000",
        folder=tmp_path,
    )
    assert "1 sub-networks" in output and "latency_ms_host" in output
    assert "Best within the limits: 0.5,0.5,0.5" in output
    assert "On held-out test images: 0." in output
    table = pandas.read_csv(latest / "table.csv")
    assert list(table.config) == ["0.5,0.5,0.5"]
    assert (table.latency_ms_host > 0).all() and list(table.latency_ms_phone) == [5]
    assert table.measured_host.str.contains("1 threads").all()
    assert "ms on host" in (latest / "report.html").read_text()

    arguments = ("--max_flops=3e6", "--epochs=1", "--teacher")
    output = run("train/finetune.py", *arguments, folder=tmp_path)
    tuned = latest / "finetuned" / "latest"
    assert "top-1 after" in output and str(tuned.resolve().name) in output
    of_unseen = r"test images:\ntop-1 before [\d.]+ %\ntop-1 after  [\d.]+ %"
    assert re.search(of_unseen, output)
    assert keras.saving.load_model(tuned / "sub_network.keras").count_params() > 1e3
    assert len(pandas.read_csv(tuned / "history.csv")) == 1
    # What it prints as the next command works as it is.
    (command,) = re.findall("Convert it: keras-resizable convert (.*)", output)
    arguments = (*shlex.split(command), "--quantize=int8", "--max_loss=1")
    converted = run("tflite/convert.py", *arguments, folder=tmp_path)
    assert re.search(
        r"top-1 .* points against Keras, the same answer for .* %", converted
    )
    (file,) = tuned.resolve().glob("*_int8.tflite")
    metadata = read_metadata(file)
    assert metadata["config"] == "0.5,0.5,0.5" and metadata["labels"] == ["0", "1"]
    assert 0 <= metadata["accuracy"]["top1"] <= 1
    # Of another model in the folder nothing is known.
    shutil.copy(tuned / "sub_network.keras", tuned / "mine.keras")
    arguments = (f"--model={tuned}/mine.keras", f"--output={tmp_path}/mine.tflite")
    run("tflite/convert.py", *arguments, folder=tmp_path)
    assert "config" not in read_metadata(tmp_path / "mine.tflite")
    output = run("train/export.py", f"--run={tuned}", folder=tmp_path)
    assert "Signatures: serving_default\n" in output
    output = run(
        "train/compare.py",
        "runs/latest:0.5,0.5,.5",
        "runs/latest/finetuned/latest:before",
        folder=tmp_path,
    )
    assert "difference +0.00 points, standard error 0.00, p = 1" in output


def test_adapt(folder):
    folder, _ = folder
    results = folder / "runs" / "latest" / "adapt"
    table = Table.load(folder / "runs" / "latest" / "table.npz").to_frame()
    budget = table["flops"].quantile(0.3)
    # Not int8, which a network that has hardly been trained does not stand.
    arguments = (f"--max_flops={budget}", "--quantize=none")
    output = run("train/adapt.py", *arguments, folder=folder)
    assert re.search(r"First .*; below a confidence of 0\.\d{3}, ", output)
    assert "On held-out test images:" in output
    assert "\ntop-1 " in output and "\nsingle " in output
    cascade = keras.saving.load_model(results / "adaptive.keras")
    assert isinstance(cascade, Cascade)
    arguments = ("--router", "--config=0.5,0.5,0.5", "--config=1.0", "--epochs=1")
    arguments += ("--quantize=none",)
    output = run("train/adapt.py", *arguments, folder=folder)
    assert "by 1.0,1.0,1.0" in output
    adaptive = keras.saving.load_model(results / "adaptive.keras")
    assert isinstance(adaptive, AdaptiveNetwork)
    error = run("train/adapt.py", folder=folder, fails=True)
    assert "Give --max_flops for a cascade, or --router" in error

    guide = (GUIDES / "each_image.md").read_text()
    (program,) = re.findall(r"```python\n(from ai_edge.*?)```", guide, re.DOTALL)
    program = program.replace("adaptive_int8", "adaptive_none")
    code = "import numpy as np\nimage = np.zeros((1, 16, 16, 3), np.float32)\n"
    code += program
    code += "\nassert probabilities.shape == (1, 2)"
    result = processes.run("-c", code, folder=folder)
    assert result.returncode == 0, result.stderr


def test_bad_input_is_one_clear_error(folder, tmp_path):
    folder, _ = folder
    error = run("tflite/convert.py", "--config=0.3", folder=folder, fails=True)
    assert "[0.3] are not all between the scale factors 1.0 and 0.5" in error
    error = run("tflite/convert.py", "--images=photos", folder=folder, fails=True)
    assert "--images is for a model of your own" in error
    error = run("tflite/convert.py", "--output=x.lite", folder=folder, fails=True)
    assert "x.lite" in error
    error = run("tflite/convert.py", "--all", "--config=1.0", folder=folder, fails=True)
    assert "either --config or --all" in error
    error = run("tflite/convert.py", folder=tmp_path, fails=True)
    assert "runs/latest/supernet.keras" in error
    error = run("tflite/benchmark.py", folder=tmp_path, fails=True)
    assert "No .tflite files in runs/latest" in error
    error = run("train/supernet.py", "--dataset=.", folder=tmp_path, fails=True)
    assert "No images in" in error
    error = run("train/supernet.py", "--recipe=vgg", folder=tmp_path, fails=True)
    assert "one of 'sample_resnet20', " in error and "recipe='vgg'" in error
    error = run("train/supernet.py", "--dataset=photos/", folder=tmp_path, fails=True)
    assert f"error: There is no folder {tmp_path}/photos.\n" in error
    arguments = ("--dry_run", "--num_images=36")
    error = run("train/supernet.py", *arguments, folder=tmp_path, fails=True)
    assert "exceed the 36 training images. Received: batch_size=64" in error
    error = run("train/supernet.py", "--epoch=3", folder=tmp_path, fails=True)
    assert (
        "There is no flag --epoch. Did you mean --epochs? Flags are: alpha, " in error
    )
    listed = error.partition("Flags are: ")[2].partition(";")[0].split(", ")
    beside = {"alpha", "checkpoint_steps", "config", "deterministic"}
    beside |= {
        "dry_run",
        "find_learning_rate",
        "from",
        "mode",
        "new_run",
        "recipe",
        "runs_dir",
        "strategy",
    }
    assert set(listed) == beside | set(FIELDS) - {"ours"}
    both = ("--from=MobileNetV2", "--network=ResNet20")
    error = run("train/supernet.py", *both, folder=tmp_path, fails=True)
    assert "At most one of (from, network)" in error
    error = run("train/search.py", "--min_top1=80", folder=tmp_path, fails=True)
    assert "min_top1: " in error and "Received: 80" in error
    error = run("train/search.py", "--max_latency_ms=9", folder=tmp_path, fails=True)
    assert "need measurements: --measure=host" in error
    error = run("train/search.py", "--max_size_bytes=9", folder=tmp_path, fails=True)
    assert "need measurements: --measure=host" in error
    error = run("train/finetune.py", folder=tmp_path, fails=True)
    assert "Give either --config, or limits" in error
    error = run("train/compare.py", "runs/latest", folder=tmp_path, fails=True)
    assert "Give two sub-networks" in error
    both = ("runs/a b:1.0", "runs/latest")
    error = run("train/compare.py", *both, folder=tmp_path, fails=True)
    assert "keras-resizable search --run='runs/a b'" in error
    error = run("train/adapt.py", "--epochs=0", folder=tmp_path, fails=True)
    assert "epochs" in error
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_what_would_be_trained(tmp_path):
    arguments = ("--recipe=resnet50", "--mode=individual", "--dry_run", "--epochs=7")
    output = run("train/supernet.py", *arguments, "--decay_epochs=3,5", folder=tmp_path)
    lines = dict(line.split(maxsplit=1) for line in output.splitlines())
    assert lines["epochs"] == "7" and lines["learning_rate"] == "0.2  (ours)"
    assert lines["parameters"] == "25.61 M" and lines["sub-networks"] == "1"
    assert "FLOPs, largest       4,089.2 M" in output
    assert lines["steps"] == "2,502 an epoch, 17,514 in all"
    assert not list(tmp_path.iterdir())


def test_a_learning_rate_is_suggested(folder, tmp_path):
    data = f"--dataset={folder[0] / 'data'}"
    arguments = (data, "--image_size=16", "--batch_size=16", NETWORK)
    arguments += ("--find_learning_rate",)
    output = run("train/supernet.py", *arguments, folder=tmp_path)
    suggested = re.search(r"Suggested: --learning_rate=(\S+)\. Wrote (\S+)", output)
    assert 1e-4 <= float(suggested[1]) <= 10  # Of images that teach little.
    assert suggested[2] == "runs/learning_rate.png"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [
        "learning_rate.png"
    ]


def test_exploring_makes_a_table_of_the_best(folder, tmp_path):
    shutil.copytree(folder[0] / "runs" / "latest", tmp_path / "run")
    (tmp_path / "run" / "table.npz").unlink()
    shutil.copytree(folder[0] / "data", tmp_path / "data")
    output = run("train/search.py", "--run=run", "--explore=24", folder=tmp_path)
    assert "images: 24 sub-networks" in output
    for name, rows in ((".", 8), ("explored", 24)):  # Few images need no more rounds.
        assert len(Table.load(tmp_path / "run" / name / "table.npz")) == rows
    both = ("--explore=24", "--config=0.5")
    error = run("train/search.py", *both, folder=tmp_path, fails=True)
    assert "At most one of (config, explore)" in error


def test_one_sub_network_alone_then_the_same_command_is_a_new_run(folder, tmp_path):
    data = f"--dataset={folder[0] / 'data'}"
    arguments = (
        data,
        "--image_size=16",
        "--mode=individual",
        "--config=0.5,0.75,0.5",
        "--epochs=1",
        "--batch_size=32",
        NETWORK,
        "--precision=mixed_bfloat16",
        "--deterministic",
    )
    run("train/supernet.py", *arguments, folder=tmp_path)
    latest = tmp_path / "runs" / "latest"
    network = load_network(latest / "supernet.keras")
    assert network.space.scales == (0.75, 0.5)
    assert network.sampler.configs == [[0.5, 0.75, 0.5]]
    history = pandas.read_csv(latest / "history.csv")
    assert "val_accuracy_target" in history
    # Complete, so the same command is not the same run.
    first = latest.resolve()
    run("train/supernet.py", *arguments, folder=tmp_path)
    assert latest.resolve() != first
    contents = [pandas.read_csv(path / "history.csv") for path in (first, latest)]
    pandas.testing.assert_frame_equal(*contents)
    # As the run had it: in its mode, with its target.
    recipe = f"--recipe={latest / 'recipe.json'}"
    output = run("train/supernet.py", recipe, "--dry_run", folder=tmp_path)
    assert "FLOPs, largest" in output and "(0.75,0.75,0.75)" in output
    error = run(
        "train/supernet.py",
        data,
        "--image_size=16",
        "--mode=individual",
        "--config=0.5",
        "--batch_size=32",
        NETWORK,
        folder=tmp_path,
        fails=True,
    )
    assert "a scale factor for each of 3 stages" in error


def test_a_folder_with_odd_files_is_told_and_trained_with(tmp_path):
    images = tmp_path / "photos" / "train"
    for number in range(48):
        name, color = (("cat\n", 50), ("dog", 200))[number % 2]
        for path in (images / name, tmp_path / "photos" / "valid" / name):
            path.mkdir(parents=True, exist_ok=True)
            pixels = np.full((12, 14, 3), color, np.uint8)
            jpeg = tf.io.encode_jpeg(pixels).numpy()
            (path / f"{number}.jpg").write_bytes(jpeg)
    odd = {"empty.jpg": b"", "text.jpg": b"text", "._x.jpg": b"\0", "1.tif": b"II*\0"}
    odd |= {"cut.jpg": jpeg[:-20], "palette.bmp": b"BM" + bytes(60)}
    for name, contents in odd.items():
        (images / "dog" / name).write_bytes(contents)
    (images / "dog" / "z.jpg").mkdir()
    (images / "empty").mkdir()
    for name in (".ipynb_checkpoints/0.jpg", "dog/deeper/0.jpg", "tifs/0.tif"):
        (images / name).parent.mkdir()
        (images / name).write_bytes(jpeg)
    arguments = ("--dataset=photos", "--image_size=12", "--augmentation=inception")
    arguments += ("--mode=individual", "--config=0.5,1,1", "--epochs=1", NETWORK)
    result = subprocess.run(
        [sys.executable, ROOT / "train/supernet.py", *arguments, "--batch_size=16"],
        cwd=tmp_path,
        # The level is as it is if not set.
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": str(ROOT / "tests"),
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    told = result.stderr.splitlines()
    rest = [line for line in told[2:] if not line.startswith("warning: The training ")]
    assert not rest
    assert told[0].startswith("warning: Left out 9 files in photos/train: ")
    for name in (*odd, "z.jpg", "deeper/0.jpg"):
        assert f"'dog/{name}'" in told[0]
    assert told[1] == (
        "warning: Left out 2 classes of photos/train, without any readable image: "
        "'empty', 'tifs'."
    )
    latest = tmp_path / "runs" / "latest"
    assert runs.read_labels(latest) == ["cat\n", "dog"]
    assert load_network(latest / "supernet.keras").head.output_shape == (None, 2)
    assert "val_accuracy_target" in pandas.read_csv(latest / "history.csv")


SCRIPTS = sorted([*ROOT.glob("train/*.py"), *ROOT.glob("tflite/*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_opens_with_commands(script):
    result = processes.run(script, "--help", folder=ROOT)
    name = {"supernet": "train"}.get(script.stem, script.stem)
    assert f"    keras-resizable {name}" in result.stdout.split("flags:")[0]
    assert name in keras_resizable_command.COMMANDS


def test_the_command_lists_its_commands_without_tensorflow(tmp_path):
    """As it is installed, and in a fresh process."""
    command = pathlib.Path(sys.executable).with_name("keras-resizable")
    (tmp_path / "tensorflow.py").write_text("raise AssertionError")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    for arguments in ([], ["--help"]):
        listed = subprocess.run(
            [command, *arguments], capture_output=True, text=True, env=env
        )
        assert listed.returncode == 0, listed.stderr
        for name in keras_resizable_command.COMMANDS:
            assert f"\n  {name} " in listed.stdout
    wrong = subprocess.run([command, "serach"], capture_output=True, text=True, env=env)
    assert wrong.returncode == 1
    assert "no command 'serach'" in wrong.stderr and "search" in wrong.stderr


def test_the_command_runs_one_with_its_flags(tmp_path):
    command = pathlib.Path(sys.executable).with_name("keras-resizable")
    shown = subprocess.run(
        [command, "convert", "--help"], capture_output=True, text=True
    )
    assert "    keras-resizable convert --config" in shown.stdout
    assert (
        "\nkeras-resizable convert:\n" in shown.stdout and "--quantize" in shown.stdout
    )
    wrong = subprocess.run(
        [command, "convert", "--quantise=int8"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert wrong.returncode == 1 and "Did you mean --quantize?" in wrong.stderr
