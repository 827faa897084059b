"""Measuring on Android: the real `adb` without a device, and a stand-in for both."""

import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest

from keras_resizable.devices import Android
from keras_resizable.errors import DeviceError
from keras_resizable.export import to_bundle, to_tflite, to_tflite_files
from keras_resizable.search.file_results import write_measurements

ROOT = pathlib.Path(__file__).parents[2]
STAND_IN = pathlib.Path(__file__).with_name("stand_in_adb.py")


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory):
    images = keras.Input((4, 4, 1))
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    to_tflite(keras.Model(images, keras.layers.Conv2D(2, 3)(images)), path)
    return path.read_bytes()


@pytest.fixture
def model(tmp_path, model_bytes):
    """A model with a name that a shell could misunderstand."""
    path = tmp_path / 'it\'s; touch "$HOME" & (a) model.tflite'
    path.write_bytes(model_bytes)
    return path


@pytest.fixture
def binary(tmp_path):
    path = tmp_path / "benchmark_model"
    path.write_bytes(b"ELF")  # The stand-in runs in its place.
    return path


@pytest.fixture
def device(tmp_path, monkeypatch):
    """A function that sets what devices there are and what goes wrong."""
    folder = tmp_path / "device"
    folder.mkdir()
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "adb"
    command = shlex.join([sys.executable, str(STAND_IN), str(folder)])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def configure(**settings):
        defaults = {
            "states": {"R5CT": "device"},
            "properties": {
                "ro.product.model": "Pixel 9",
                "ro.build.version.release": "16",
                "ro.soc.model": "Tensor G4",
                "ro.product.cpu.abi": "arm64-v8a",
            },
        }
        (folder / "device.json").write_text(json.dumps(defaults | settings))

    configure()
    configure.folder = folder
    configure.calls = lambda: (folder / "calls.txt").read_text().splitlines()
    return configure


def on_device(device):
    folder = device.folder / "keras_resizable"
    return sorted(path.name.partition("-")[2] for path in folder.iterdir())


def test_a_model_is_sent_measured_and_removed(device, model, binary):
    with Android(benchmark_binary=binary, affinity="1") as android:
        assert android.name == "Pixel_9"
        assert android.description.startswith("Pixel 9, Android 16, Tensor G4, arm64")
        assert android.description.endswith("xnnpack, cores 1")
        (result,) = android.measure([model], threads=2, warmup=1, runs=7)
        assert result["path"] == str(model) and result["signature"] is None
        assert 0 < result["p5_ms"] <= result["median_ms"] <= result["p95_ms"] < 1000
        assert 0 < result["first_ms"] and 0 < result["init_ms"]
        assert result["peak_memory_mb"] == 12.3438
        assert result["size_bytes"] == model.stat().st_size
        assert on_device(device) == ["benchmark_model", "model.tflite"]
        # Again, and under another name: all is there already.
        copy = model.with_name("copy.tflite")
        shutil.copy(model, copy)
        android.measure([model, copy], runs=2)
        assert sum(" push " in call for call in device.calls()) == 2
    assert on_device(device) == ["benchmark_model"]
    assert not (device.folder.parent / "home").exists()  # Nobody touched it.
    run = next(call for call in device.calls() if "--graph=" in call)
    assert "taskset 1" in run and "--num_threads=2" in run and "use_" not in run


def test_what_a_device_says_is_no_path_and_no_command(
    device, model, binary, tmp_path, monkeypatch
):
    properties = {
        "ro.product.model": "../../\x1b[2J$(touch x)<img src=x>",
        "ro.build.version.release": "16\x07",
        "ro.soc.model": "`touch x`",
        "ro.product.cpu.abi": "../../../tool",
    }
    device(properties=properties)
    # There is a tool where the ABI would lead to.
    tool = (
        tmp_path / "home/.cache/litert-cli/binaries" / properties["ro.product.cpu.abi"]
    )
    tool.mkdir(parents=True)
    shutil.copy(binary, tool.resolve() / "benchmark_model")
    with pytest.raises(DeviceError, match="benchmark_model for .*tool is needed"):
        Android()
    with Android(benchmark_binary=binary) as android:
        assert android.name == "2J_(touch_x)_img_src_x_"
        assert android.description.isprintable()
        # A name that begins as an option does.
        monkeypatch.chdir(tmp_path)
        os.rename(model, "-p.tflite")
        (result,) = android.measure(["-p.tflite"], runs=1)
        (path,) = write_measurements([result], android, threads=1, warmup=1, runs=1)
    assert path == pathlib.Path(f"benchmark_{android.name}.json")
    assert not list(tmp_path.rglob("x"))
    device(properties={"ro.product.model": "=1+1", "ro.product.cpu.abi": "arm64-v8a"})
    with Android(benchmark_binary=binary) as android:
        assert android.name == "1+1"
        assert android.description.startswith("1+1, Android")  # Not a cell's formula.
    device(properties={"ro.product.cpu.abi": "arm64-v8a"})
    with Android(benchmark_binary=binary) as android:
        assert android.name == "R5CT"


def test_older_tools_print_no_percentiles(device, model, binary):
    device(fault="old")
    with Android(benchmark_binary=binary) as android:
        (result,) = android.measure([model], runs=3)
    assert result["median_ms"] == result["mean_ms"] > 0
    assert "p5_ms" not in result


@pytest.mark.parametrize(
    ("delegate", "flag"),
    [("none", "--use_xnnpack=false"), ("gpu", "--use_gpu=true")],
)
def test_delegates_and_profiles_are_asked_for(device, model, binary, delegate, flag):
    with Android(benchmark_binary=binary, delegate=delegate, profile=True) as android:
        (result,) = android.measure([model], runs=2)
    assert result["operators"] == {"CONV_2D": 0.75, "RESIZE_BILINEAR": 0.25}
    assert any(flag in call for call in device.calls())


def test_each_signature_of_a_bundle_is_measured(device, tmp_path, make_network, binary):
    network = make_network()
    files = to_tflite_files(network, [(1.0,), (0.5,)], tmp_path)
    to_bundle([file.path for file in files], tmp_path / "bundle.tflite")
    with Android(benchmark_binary=binary) as android:
        results = android.measure([tmp_path / "bundle.tflite"], runs=2)
    names = [result["signature"] for result in results]
    assert names == ["scale_1.0_1.0", "scale_0.5_1.0"]
    for name in names:
        assert any(f"--signature_to_run_for={name}" in call for call in device.calls())


def test_hot_devices_are_told(device, model, binary):
    device(services={"thermalservice": "IsStatusOverride: false\nThermal Status: 3"})
    with Android(benchmark_binary=binary) as android:
        with pytest.warns(UserWarning, match="Pixel_9 is throttled.*status 3 of 6"):
            android.measure([model], runs=1)
        device(services={"battery": "  level: 80\n  temperature: 451"})
        with pytest.warns(UserWarning, match="battery of Pixel_9 is at 45 °C"):
            android.measure([model], runs=1)


def test_a_device_is_found_or_named(device, binary):
    def message(**options):
        with pytest.raises(DeviceError) as error:
            Android(benchmark_binary=binary, **options)
        return str(error.value)

    device(states={})
    assert "connected by USB, with USB debugging on" in message()
    assert "serial='R5CT', with none connected" in message(serial="R5CT")
    device(states={"R5CT": "device", "emulator-5554": "device"})
    assert "choose one by its `serial`" in message()
    assert "R5CT (device), emulator-5554 (device) connected" in message()
    assert Android(serial="R5CT", benchmark_binary=binary).serial == "R5CT"
    device(states={"R5CT": "unauthorized"})
    assert "allowed in the device's dialog" in message()
    assert "R5CT (unauthorized)" in message(serial="R5CT")
    device(states={"R5CT": "offline"})
    assert "R5CT (offline)" in message()


def test_the_tool_has_to_be_there(device, tmp_path, binary):
    with pytest.raises(DeviceError, match="--benchmark_binary.*litert-cli"):
        Android()
    cached = tmp_path / "home/.cache/litert-cli/binaries/arm64-v8a/benchmark_model"
    cached.parent.mkdir(parents=True)
    shutil.copy(binary, cached)
    Android()
    with pytest.raises(FileNotFoundError, match="none"):
        Android(benchmark_binary="none")
    with pytest.raises(ValueError, match="npu"):
        Android(benchmark_binary=binary, delegate="npu")
    for affinity in ("f0; reboot", "0", ""):
        with pytest.raises(DeviceError, match="taskset(?s:.*)taskset: "):
            Android(benchmark_binary=binary, affinity=affinity)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"full": True}, "no space left: .*failed to copy"),
        ({"fault": "crash"}, "signal 11 on the device(?s:.*)apply the delegate"),
        ({"fault": "garbled"}, "not understood at: .*Inference \\(avg\\): much"),
        ({"fault": "silent"}, "not understood at: .*curr"),
        ({"gone_after": 0}, "The device is gone: nothing. Connect it"),
    ],
)
def test_what_fails_on_the_device_is_told(device, model, binary, settings, message):
    device(**settings)
    android = Android(benchmark_binary=binary)
    with pytest.raises(DeviceError, match=message) as error:
        android.measure([model], warmup=1, runs=3)
    assert error.value.results == []
    device()
    android.close()
    assert set(on_device(device)) <= {"benchmark_model"}


def test_what_was_measured_before_the_device_went_is_kept(device, tmp_path, binary):
    for name in ("one", "two"):
        images = keras.Input((4, 4, 1))
        outputs = keras.layers.Conv2D(len(name), 3, name=name)(images)
        to_tflite(keras.Model(images, outputs), tmp_path / f"{name}.tflite")
    device(gone_after=1)
    command = [sys.executable, ROOT / "tflite/benchmark.py", "one.tflite", "two.tflite"]
    options = ["--device=android", f"--benchmark_binary={binary}", "--runs=2"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: The device is gone" in done.stderr
    assert "one.tflite" in done.stdout and "two.tflite" not in done.stdout
    contents = json.loads((tmp_path / "benchmark_Pixel_9.json").read_text())
    assert [result["path"] for result in contents["results"]] == ["one.tflite"]
    assert contents["threads"] == 1 and contents["description"].startswith("Pixel 9")


def test_an_interruption_leaves_nothing_running(device, model, binary):
    device(fault="slow")
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / "tflite/benchmark.py",
            model,
            "--device=android",
            f"--benchmark_binary={binary}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Shells ignore it for what they start in the background, as these tests may be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    running = device.folder / "keras_resizable" / "running"
    wait_until(lambda: running.exists() and running.read_text().strip())
    number = int(running.read_text())
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    wait_until(lambda: not pathlib.Path(f"/proc/{number}").exists())
    assert on_device(device) == ["benchmark_model"]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(shutil.which("adb") is None, reason="adb is not installed")
def test_the_real_adb_has_no_device(binary):
    with pytest.raises(DeviceError, match="An Android device must be connected"):
        Android(benchmark_binary=binary)
    subprocess.run(["adb", "kill-server"], capture_output=True)


def test_without_adb_it_says_so(binary, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="Install Android's platform-tools"):
        Android(benchmark_binary=binary)
