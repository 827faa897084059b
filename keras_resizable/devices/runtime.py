"""LiteRT.js, which runs `.tflite` files in browsers, from npm."""

import json
import pathlib
import subprocess

from keras_resizable.devices.adb import DeviceError
from keras_resizable.devices.names import printable
from keras_resizable.utils.files import cache_folder

PACKAGE = "@litertjs/core"
VERSION = "2.5.3"
_SECONDS = 300


def runtime_folder() -> tuple[pathlib.Path, str]:
    """The folder `@litertjs` with LiteRT.js, and its version; fetched on first use.

    Raises:
        DeviceError: If there is no npm, or it cannot fetch.
    """
    root = cache_folder() / f"litertjs-{VERSION}"
    folder = root / "node_modules" / "@litertjs"
    described = folder / "core" / "package.json"
    if not described.exists():
        print(f"Fetching LiteRT.js {VERSION} by npm into {root}")
        _install(root)
    return folder, str(json.loads(described.read_text())["version"])


def _install(root):
    root.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    command += ["--prefix", str(root), f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
    except FileNotFoundError as error:
        raise DeviceError(
            f"There is no `npm`, which fetches LiteRT.js ({PACKAGE}). Install it "
            "(Debian: npm), and start again."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"npm has not fetched {PACKAGE} in {_SECONDS} seconds. Is there a network?"
        ) from error
    if done.returncode:
        said = printable(" ".join(done.stderr.split()) or "nothing")[:300]
        raise DeviceError(f"npm could not fetch {PACKAGE}. It said: {said}")
