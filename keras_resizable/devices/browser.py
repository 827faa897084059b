"""A browser as a device."""

import contextlib
import logging
import os
import pathlib
import re
from typing import Any, Self

import numpy as np

from keras_resizable.devices.device import Paths, Results
from keras_resizable.devices.host import check_numbers
from keras_resizable.devices.litert_js import runtime_folder
from keras_resizable.devices.names import check_name, clean_name, printable
from keras_resizable.devices.page_server import PageServer
from keras_resizable.errors import DeviceError
from keras_resizable.export import read_metadata
from keras_resizable.export.interpreters import Runner, open_tflite
from keras_resizable.utils.arguments import number, one_of
from keras_resizable.utils.extras import import_extra

_LOG = logging.getLogger(__name__)
ACCELERATORS = ("wasm", "webgpu")
_NUMBERS = ("median_ms", "p5_ms", "p95_ms", "first_ms", "init_ms")
_MOST_MS = 1e7


class Browser:
    """A browser, measured by LiteRT.js on a page that this object serves.

    `with Browser() as browser` prints an address and waits until a browser opens it:
    one on this machine, or with `host="0.0.0.0"` any phone on the network. The page
    shows its progress. The server offers only the page, its runtime and the files to
    measure, at an address with a secret part; answers are read as numbers. The runtime
    comes from npm once (https://ai.google.dev/edge/litert/web).

    Files must take float32 or uint8, not int8: for a file that is int8 inside,
    `to_tflite(quantize="int8", io="uint8")`.

    Args:
        name: Name of the device in tables; by default the browser's own.
        host: Address to serve on: by default this machine only; `"0.0.0.0"` for the
            network.
        port: Port; 0 for any free one.
        accelerator: `"wasm"` for the processor, or `"webgpu"`.
        timeout_s: Seconds to wait for the page to be opened, or to answer.

    Attributes:
        address: The address to open.
        description: The browser, the version of LiteRT.js and the accelerator, as text.

    Raises:
        DeviceError: If the runtime cannot be fetched, or no page answers.
        OSError: If the port is in use.
        ValueError: If `name` or `accelerator` is not valid.

    Example::

        with devices.Browser(host="0.0.0.0") as phone:
            table.add_latency(network, phone)
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        accelerator: str = "wasm",
        timeout_s: float = 300.0,
    ) -> None:
        if name is not None:
            check_name(name)
        one_of("accelerator", accelerator, ACCELERATORS)
        self._name = name
        self._accelerator = accelerator
        self._timeout_s = timeout_s
        folder, self._version = runtime_folder()
        self._server = PageServer(folder, host, port)
        self.address = self._server.address

    @property
    def name(self) -> str:
        return self._name or clean_name(_browser_of(self._server.agent)) or "browser"

    @property
    def description(self) -> str:
        agent = printable(self._server.agent)
        return f"{agent}, LiteRT.js {self._version}, {self._accelerator}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._server.stop)
            # A warning, as nothing happens until the page is opened.
            _LOG.warning(f"Open this page in a browser:\n  {self.address}")
            if "127.0.0.1" not in self.address:  # A code for a phone's camera.
                code = import_extra("segno", "tflite").make(self.address)
                code.terminal(compact=True)
            if not self._server.wait_for_page(self._timeout_s):
                raise DeviceError(
                    f"No browser opened {self.address} in {self._timeout_s:.0f} "
                    "seconds. A phone has to be on the same network, and the server "
                    'on it (host="0.0.0.0", --host=0.0.0.0).'
                )
            stack.pop_all()  # It serves until `__exit__`.
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.stop()

    def measure(
        self, paths: Paths, threads: int = 1, warmup: int = 5, runs: int = 50
    ) -> Results:
        """Times `.tflite` files, with the arguments and results of `Host.measure`.

        There is no `peak_memory_mb`. Runs shorter than the resolution of the browser's
        clock are timed several at once and averaged. Several threads need an isolated
        page, as on this machine.

        Raises:
            DeviceError: If the page no longer answers, or cannot run a file. Its
                `results` are the measurements before it.
            ValueError: If a number is not positive, or a file is damaged.
            FileNotFoundError: If a file is missing.
        """
        check_numbers(threads, warmup, runs)
        results: Results = []
        for path in paths:
            open_tflite(path)  # A damaged file is found before anything is timed.
        for path in map(pathlib.Path, paths):
            settings = {"threads": threads, "warmup": warmup, "runs": runs}
            for signature in self._ask(path, results, _latencies, **settings):
                size = path.stat().st_size
                results.append({"path": str(path), **signature, "size_bytes": size})
        return results

    def outputs(
        self, path: str | os.PathLike, images: np.ndarray, signature: str | None = None
    ) -> np.ndarray:
        """Outputs of a file in the browser.

        Args:
            path: Path of the file.
            images: float32 `(images, height, width, channels)`.
            signature: Name of a signature; by default the first.

        Returns:
            float32 `(images, classes)`.

        Raises:
            DeviceError: If the page no longer answers, or cannot run the file.
            ValueError: If the file is damaged.
        """
        runner = Runner(path, signature)
        images = runner.encoded(np.asarray(images, np.float32))
        settings = {"signature": signature, "count": len(images)}

        def read(answer):
            outputs = np.array(answer["outputs"], np.float32)
            return runner.decoded(outputs.reshape(len(images), -1))

        return self._ask(pathlib.Path(path), [], read, images, **settings)

    def show(self, path: str | os.PathLike, results: Results) -> None:
        """Makes the page run a bundle on its camera's images, within a frame time.

        The page has a slider for the time, and shows which sub-network runs. Where the
        browser allows no camera, such as at a remote address without https, it asks for
        a photo, and shows a drawing until then. It runs until the device is closed.

        Args:
            path: Path of a bundle that takes float32 or uint8.
            results: Its results from `measure`.

        Raises:
            ValueError: If it is not a bundle of this library, or was not measured.
        """
        signatures = (read_metadata(path) or {}).get("signatures", {})
        costs = {
            result["signature"]: result["median_ms"]
            for result in results
            if result["path"] == str(path) and result["signature"] in signatures
        }
        if len(costs) < 2:
            raise ValueError(
                f"{path} must be a bundle of several sub-networks that was measured."
            )
        names = sorted(costs, key=lambda name: -costs[name])
        metadata = signatures[names[0]]
        settings = {
            "names": names,
            "costs": [costs[name] for name in names],
            "range": metadata.get("input_range", [0.0, 1.0]),
            "labels": metadata.get("labels") or [],
            "crop": metadata.get("center_crop"),
            "accelerator": self._accelerator,
        }
        self._server.show({"model": pathlib.Path(path).read_bytes()}, settings)

    def _ask(self, path, results, read, images=None, **settings):
        """The page's answer to a job, as `read` returns it."""
        files = {"model": path.read_bytes()}
        if images is not None:
            files["images"] = images.tobytes()
        settings["accelerator"] = self._accelerator
        answer = self._server.ask(files, settings, self._timeout_s)
        if answer is None:
            raise DeviceError(
                f"The page has not answered for {self._timeout_s:.0f} seconds. Open "
                f"{self.address} again, keep it in front, and start again.",
                results,
            )
        try:
            return read(answer)
        except (LookupError, TypeError, ValueError) as error:
            said = printable(str(answer.get("error", answer)))[:300]
            hint = ""
            if "INT8" in said.upper():
                hint = (
                    " Browsers run no files with int8 inputs: convert with --io=uint8."
                )
            message = f"{path}: the browser says: {said}.{hint}"
            raise DeviceError(message, results) from error


def _latencies(answer: dict[str, Any]) -> Results:
    """The latencies of a file, from a page's answer."""
    return [
        {
            "signature": one["signature"] and printable(one["signature"])[:200],
            **{name: number(name, one[name], 0, _MOST_MS) for name in _NUMBERS},
        }
        for one in answer["signatures"]
    ]


def _browser_of(agent):
    """A short name of a browser and its system, from its user agent."""
    kinds = r"(Firefox|Edg|OPR|SamsungBrowser|CriOS|Chrome|Version)/(\d+)"
    kind = re.search(kinds, agent)
    systems = ("Android", "iPhone", "iPad", "Macintosh", "Windows", "Linux")
    words = [f"{kind[1].replace('Version', 'Safari')}{kind[2]}"] if kind else []
    words += [system for system in systems if system in agent][:1]
    return "_".join(words)
