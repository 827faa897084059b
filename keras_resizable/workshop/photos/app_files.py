"""The folder `app/` of a job: programs that run its file without this library."""

import json
import logging
import pathlib
import shutil
from typing import Any

from keras_resizable.devices.litert_js import runtime_folder
from keras_resizable.devices.page_server import PAGE
from keras_resizable.errors import DeviceError
from keras_resizable.export import read_metadata
from keras_resizable.export.interpreters import Runner
from keras_resizable.export.standard_metadata import lines_of

_LOG = logging.getLogger(__name__)
_TEMPLATES = pathlib.Path(__file__).parent / "app"
_PAGE_OF_APP = ("index.html", "app.js")
# LiteRT.js without the builds for threads; it takes the second one on old browsers.
_WASM = ("litert_wasm_internal", "litert_wasm_compat_internal")


def write_app(file: pathlib.Path, folder: pathlib.Path, title: str) -> None:
    """Writes a page for browsers, a Python program, Kotlin code and a README.

    Without npm, which brings LiteRT.js, there is no page.

    Args:
        file: The `.tflite` file, with labels and ranges in its metadata.
        folder: The folder to write to.
        title: Heading of the page.
    """
    about = read_metadata(file) or {}
    folder.mkdir(parents=True)
    shutil.copyfile(_TEMPLATES / "classify.py", folder / "classify.py")
    crop = about.get("center_crop")
    values = {
        "FILE": file.name,
        "THRESHOLD": str(about.get("score_threshold", 0.0)),
        "CROP": f"Crop it to the central {100 * crop:g} % first." if crop else "",
    }
    for name in ("Classify.kt", "README.txt"):
        text = (_TEMPLATES / name).read_text()
        for word, value in values.items():
            text = text.replace(word, value)
        (folder / name).write_text(text)
    try:
        runtime, _ = runtime_folder()
    except DeviceError as error:
        _LOG.warning(f"The app has no page for browsers: {error}")
        return
    _write_page(file, about, runtime, folder / "browser", title)


def _write_page(file, about: dict[str, Any], runtime, page, title):
    page.mkdir()
    for name in _PAGE_OF_APP:
        shutil.copyfile(_TEMPLATES / "browser" / name, page / name)
    shutil.copyfile(PAGE / "pixels.js", page / "pixels.js")
    shutil.copyfile(file, page / "model.tflite")
    (page / "labels.txt").write_text(lines_of(about["labels"]), encoding="utf-8")
    scale, zero_point = Runner(file).quantization_of_output()
    settings = {
        "title": title,
        "range": about["input_range"],
        "crop": about.get("center_crop"),
        "threshold": about.get("score_threshold"),
        "scale": scale or 1.0,
        "zero_point": zero_point,
    }
    (page / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    for name in ("core", "wasm-utils"):
        shutil.copytree(runtime / name / "dist", page / "litert" / name / "dist")
    wasm = page / "litert" / "core" / "wasm"
    wasm.mkdir()
    for name in _WASM:
        for suffix in (".js", ".wasm"):
            source = runtime / "core" / "wasm" / f"{name}{suffix}"
            shutil.copyfile(source, wasm / source.name)
