"""A browser as a device: a real Chromium, and pages that lie."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from narrow_networks import convolutions
from playwright.sync_api import sync_playwright

from keras_resizable.devices import Browser, browser, litert_js
from keras_resizable.errors import DeviceError
from keras_resizable.export import run_tflite, to_bundle, to_tflite_files

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LATENCIES = {
    "signature": None,
    "median_ms": 2.0,
    "p5_ms": 1,
    "p95_ms": 3.0,
    "first_ms": 4.0,
    "init_ms": 5.0,
}


OTHER_KINDS = {
    "float16": ("float16", "int8"),
    "dynamic": ("dynamic", "int8"),
    "int8": ("int8", "int8"),
    "uint8": ("int8", "uint8"),
    "int8_float32": ("int8", "float32"),
}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((200, 24, 24, 3), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images):
    """Files of two sub-networks, their bundle, and one of them that takes integers."""
    folder = tmp_path_factory.mktemp("browser")
    network = convolutions(
        (16, 32, 32, 32),
        scales=(1.0, 0.5),
        input_shape=(24, 24, 3),
        classes=10,
        name="net",
    )
    configs = ("1.0,1.0,1.0", "0.5,0.5,0.5")
    files = to_tflite_files(network, configs, folder, calibrate_with=images[:50])
    paths = [file.path for file in files]
    to_bundle(paths, folder / "bundle.tflite")
    for config, path in zip(configs, paths):
        path.rename(folder / f"{config}.tflite")
    options = {"calibrate_with": images[:50], "input_range": (0, 1)}
    for name, (quantize, io) in OTHER_KINDS.items():
        files = to_tflite_files(
            network, configs, folder, quantize=quantize, io=io, **options
        )
        paths = [file.path for file in files]
        to_bundle(paths, folder / f"bundle_{name}.tflite")
        paths[-1].rename(folder / f"{name}.tflite")
    return folder


@pytest.fixture(scope="module")
def litertjs():
    """Skips where there is no Chromium, or no npm that can fetch."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    try:
        litert_js.runtime_folder()
    except DeviceError as error:
        pytest.skip(str(error))


@contextlib.contextmanager
def chromium(address, folder):
    """A browser of its own with the page open."""
    process = subprocess.Popen(
        [CHROMIUM, "--headless=new", "--no-sandbox", f"--user-data-dir={folder}"]
        + ["--remote-debugging-port=0", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("litertjs")
def test_chromium_is_a_device(folder, images, tmp_path):
    paths = [folder / "1.0,1.0,1.0.tflite", folder / "0.5,0.5,0.5.tflite"]
    device = Browser()
    with chromium(device.address, tmp_path / "one"), device:
        assert device.name.startswith("Chrome") and device.name.endswith("Linux")
        assert f"LiteRT.js {litert_js.VERSION}, wasm" in device.description
        results = device.measure(paths, runs=30)
        large, small = (result["median_ms"] for result in results)
        assert 0 < small < large  # Of a quarter of the FLOPs.
        assert [result["path"] for result in results] == list(map(str, paths))
        of_bundle = device.measure([folder / "bundle.tflite"], threads=2, runs=5)
        names = [result["signature"] for result in of_bundle]
        assert names == ["scale_1.0_1.0_1.0", "scale_0.5_0.5_0.5"]
        for signature, path in zip([None, names[1]], paths):
            file = path if signature is None else folder / "bundle.tflite"
            answers = device.outputs(file, images, signature)
            here = run_tflite(path, images)
            np.testing.assert_allclose(answers, here, atol=1e-4)
            assert (answers.argmax(axis=-1) == here.argmax(axis=-1)).all()
        whole = folder / "uint8.tflite"
        (result,) = device.measure([whole], runs=3)
        assert result["median_ms"] > 0
        for name in OTHER_KINDS:
            if name != "int8":
                path = folder / f"{name}.tflite"
                answers = device.outputs(path, images[:50])
                here = run_tflite(path, images[:50])
                np.testing.assert_allclose(answers, here, atol=0.02, err_msg=name)
        with pytest.raises(DeviceError, match="int8.tflite: .*--io=uint8") as error:
            device.measure([paths[1], folder / "int8.tflite"], runs=3)
        assert len(error.value.results) == 1


@pytest.mark.usefixtures("litertjs")
def test_a_bundle_keeps_a_frame_time_on_the_page(folder, images):
    path = folder / "bundle_uint8.tflite"
    device = Browser(timeout_s=30)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        page = opened.new_page(viewport={"width": 400, "height": 900})
        trouble = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(device.address)
        with device:
            results = device.measure([path], runs=5)
            with pytest.raises(ValueError, match="must be a bundle of several"):
                device.show(folder / "0.5,0.5,0.5.tflite", results)
            results[0]["median_ms"] = 1000.0  # So that it fits on a busy machine, too.
            device.show(path, results)
            slider = page.locator("#budget")

            def wait_for(name):
                """Waits without the frames of the page, which are busy."""
                shown = (
                    f"document.querySelector('#now').innerText.startsWith('{name}:')"
                )
                page.wait_for_function(shown, polling=100)

            wait_for("scale_1.0_1.0_1.0")
            assert page.locator("#stages span").count() == 3
            # There is no camera here, which it says; a drawing is not classified.
            told = page.locator("#source")
            told.get_by_text("No camera").wait_for()
            assert not page.locator("#answer").inner_text()
            photo = folder / "photo.png"
            keras.utils.save_img(photo, images[0])
            page.locator("#photo").set_input_files(photo)
            told.get_by_text("Your photo.").wait_for()
            page.locator("#answer").get_by_text("class ").wait_for()
            slider.fill("0.0001")
            wait_for("scale_0.5_0.5_0.5")
            slider.fill(slider.get_attribute("max"))
            wait_for("scale_1.0_1.0_1.0")
            # Another file can be measured then.
            assert len(device.measure([path], runs=2)) == 2
        page.locator("#state").get_by_text("Done.").wait_for()
        assert not trouble
        opened.close()


@pytest.mark.usefixtures("litertjs")
def test_what_was_measured_is_kept_when_the_page_closes(folder, tmp_path):
    paths = [folder / "0.5,0.5,0.5.tflite", folder / "1.0,1.0,1.0.tflite"]
    device = Browser(timeout_s=15)
    with chromium(device.address, tmp_path / "one") as process, device:
        take = device._server.take

        def close_after_one(page, answer):
            taken = take(page, answer)
            process.kill()
            return taken

        device._server.take = close_after_one
        device._timeout_s = 2
        with pytest.raises(DeviceError, match="not answered for 2 seconds") as error:
            device.measure(paths, runs=3)
        assert [result["path"] for result in error.value.results] == [str(paths[0])]
        # Another page goes on.
        device._server.take, device._timeout_s = take, 30
        with chromium(device.address, tmp_path / "other"):
            assert len(device.measure(paths[1:], runs=3)) == 1


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A device without a runtime, open, and a function that asks it as a page does."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "index.js").write_text("1")
    (tmp_path.parent / "secret.js").write_text("2")
    monkeypatch.setattr(browser, "runtime_folder", lambda: (tmp_path, "0.0"))
    device = Browser("tv", timeout_s=5)

    def ask(path="job", data=None, page="one", address=device.address):
        request = urllib.request.Request(address + path, data, {"X-Page": page})
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read()

    opened = threading.Thread(target=lambda: (time.sleep(0.2), ask()))
    opened.start()
    with device:
        opened.join()
        yield device, ask


def answering(ask, answer):
    """A page in a thread that answers the next job."""

    def run():
        for _ in range(100):
            job = json.loads(ask())
            if job:
                text = answer(job) if callable(answer) else answer
                ask(
                    "answer",
                    text if isinstance(text, bytes) else json.dumps(text).encode(),
                )
                return
            time.sleep(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def refused(ask, *arguments, **options):
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(*arguments, **options)
    error.value.close()
    return error.value.code


def test_nothing_else_is_served(served):
    device, ask = served
    assert b"This browser as a device" in ask("")
    assert b"loadLiteRt" in ask("page/page.js")
    assert ask("litert/core/index.js") == b"1"
    assert refused(ask, "litert/../../secret.js") == 404
    assert refused(ask, "litert/%2e%2e/secret.js") == 404
    assert refused(ask, "model") == 404  # None is measured.
    assert refused(ask, "page/../browser.py") == 404
    wrong = device.address.rsplit("/", 2)[0] + "/guessed/"
    assert refused(ask, "", address=wrong) == 404
    assert refused(ask, "answer", b"{}", address=wrong) == 404
    assert "127.0.0.1" in device.address and len(device.address) > 40


def test_garbage_is_refused(served):
    _, ask = served
    assert refused(ask, "answer", b"no json") == 400
    assert refused(ask, "answer", b"[" * 100_000) == 400
    assert refused(ask, "answer", b"[]") == 409
    assert refused(ask, "answer", b'{"number": 99}') == 409
    assert refused(ask, "other", b"{}") == 404
    with pytest.raises(urllib.error.URLError):  # Not read to its end.
        ask("answer", b" " * (16 * 2**20 + 1))


def test_numbers_that_cannot_be_are_refused(served, folder):
    device, ask = served
    path = folder / "0.5,0.5,0.5.tflite"

    def measured(**changes):
        return lambda job: {
            "number": job["number"],
            "signatures": [LATENCIES | changes],
        }

    thread = answering(ask, measured(signature="a\x1b[2Jb"))
    (result,) = device.measure([path])
    thread.join()
    assert result["median_ms"] == 2 and result["signature"] == "a?[2Jb"
    for changes in (
        {"median_ms": -1},
        {"median_ms": float("nan")},
        {"p5_ms": "1"},
        {"first_ms": True},
        {"init_ms": 1e9},
        {"signature": 3},
    ):
        thread = answering(ask, measured(**changes))
        with pytest.raises(DeviceError, match="the browser says: .*signatures"):
            device.measure([path])
        thread.join()
    thread = answering(
        ask, lambda job: {"number": job["number"], "error": "x\x07" * 999}
    )
    with pytest.raises(DeviceError, match="the browser says: x") as error:
        device.measure([path])
    thread.join()
    assert str(error.value).isprintable() and len(str(error.value)) < 600


def test_one_page_at_a_time(served):
    _, ask = served
    assert json.loads(ask(page="one")) == {}
    assert json.loads(ask(page="other")) == {"busy": True}


def test_trouble_is_one_sentence(monkeypatch, tmp_path, served):
    device, _ = served
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="already in use"):
            Browser(port=port)
    with pytest.raises(DeviceError, match="No browser opened http.* in 0 seconds"):
        with Browser(timeout_s=0.1):
            pass
    with pytest.raises(ValueError, match="webgpu.*npu"):
        Browser(accelerator="npu")
    with pytest.raises(ValueError, match="device's name has at most"):
        Browser("../x")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="`npm` is missing"):
        litert_js.runtime_folder()
    (tmp_path / "npm").write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    with pytest.raises(DeviceError, match="npm could not fetch .* It said: no network"):
        litert_js.runtime_folder()


def test_what_a_browser_calls_itself():
    names = {
        "Mozilla/5.0 (Linux; Android 14) Chrome/131.0 Mobile Safari/537.36": (
            "Chrome131_Android"
        ),
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Version/17.5 Safari/604.1": (
            "Safari17_iPhone"
        ),
        "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko Firefox/133.0": (
            "Firefox133_Linux"
        ),
        "<script>": "",
    }
    for agent, name in names.items():
        assert browser._browser_of(agent) == name
