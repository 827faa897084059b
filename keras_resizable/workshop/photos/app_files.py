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

    There is no page without npm, which brings LiteRT.js, and for files that take int8,
    which browsers do not run.

    Args:
        file: The `.tflite` file, with labels and ranges in its metadata.
        folder: The folder to write to.
        title: Heading of the page.
    """
    about = read_metadata(file) or {}
    folder.mkdir(parents=True)
    shutil.copyfile(_TEMPLATES / "classify.py", folder / "classify.py")
    has_page = about.get("io") != "int8" and _write_page(
        file, about, folder / "browser", title
    )
    values = {
        "FILE": file.name,
        "THRESHOLD": str(about.get("score_threshold", 0.0)),
        "CROP": str(about.get("center_crop") or "null"),
    }
    for name in ("Classify.kt", "README.txt"):
        text = (_TEMPLATES / name).read_text()
        if name == "README.txt" and not has_page:
            start, _, rest = text.partition("browser/")
            text = start + rest[rest.index("classify.py ") :]
        for word, value in values.items():
            text = text.replace(word, value)
        (folder / name).write_text(text)


def _write_page(
    file: pathlib.Path, about: dict[str, Any], page: pathlib.Path, title: str
) -> bool:
    """Writes the page for browsers; returns whether it could."""
    try:
        runtime, _ = runtime_folder()
    except DeviceError as error:
        _LOG.warning(f"The app has no page for browsers: {error}")
        return False
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
    return True
