"""LiteRT.js, which runs `.tflite` files in browsers, from npm."""

import json
import logging
import pathlib

from keras_resizable.devices.adb import run_program
from keras_resizable.errors import DeviceError
from keras_resizable.utils.files import cache_folder

_LOG = logging.getLogger(__name__)
PACKAGE = "@litertjs/core"
VERSION = "2.5.3"
_SECONDS = 300


def runtime_folder() -> tuple[pathlib.Path, str]:
    """The folder `@litertjs` with LiteRT.js, and its version; fetched on first use."""
    root = cache_folder() / f"litertjs-{VERSION}"
    folder = root / "node_modules" / "@litertjs"
    package = folder / "core" / "package.json"
    if not package.exists():
        _LOG.info(f"Fetching LiteRT.js {VERSION} by npm into {root}")
        root.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        command += ["--prefix", str(root), f"{PACKAGE}@{VERSION}"]
        done = run_program(
            command,
            _SECONDS,
            f"It fetches {PACKAGE}: install npm (Debian: npm), and go online.",
        )
        if done.returncode:
            said = (" ".join(done.stderr.split()) or "nothing")[:300]
            raise DeviceError(f"npm could not fetch {PACKAGE}. It said: {said}")
    return folder, str(json.loads(package.read_text())["version"])
