"""The server of the page that measures in a browser."""

import dataclasses
import http.server
import json
import pathlib
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from keras_resizable.devices.adb import DeviceError

PAGE = pathlib.Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
}
_MOST_BYTES = 16 * 2**20  # Of what a page sends.
_SILENT_S = 10.0  # After which another page may go on.
# A page that is isolated has a finer clock and threads.
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclasses.dataclass(frozen=True)
class Job:
    """What a page is to run.

    Args:
        model: Contents of a `.tflite` file.
        images: float32 images as bytes, or None to run on zeros.
    """

    model: bytes
    images: bytes | None = None


class PageServer:
    """Serves the page, one job at a time, to the first page that asks, until `stop`.

    Args:
        runtime: The folder of LiteRT.js.
        host: Address to serve on.
        port: Port; any that is free if 0.

    Attributes:
        address: Of the page, with a part that cannot be guessed.
        agent: What the browser says that it is.

    Raises:
        DeviceError: If the port is in use.
    """

    def __init__(self, runtime: pathlib.Path, host: str, port: int) -> None:
        self._folders = {"litert": runtime, "page": PAGE}
        self._token = secrets.token_urlsafe(16)
        self._changed = threading.Condition()
        self._page: str | None = None
        self._heard = 0.0
        self._job: Job | None = None
        self._asked: dict[str, Any] = {}
        self._answer: dict[str, Any] | None = None
        self._number = 0
        self.agent = ""
        owner = self

        class Handler(_Handler):
            server_of_page = owner

        try:
            self._http = http.server.ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise DeviceError(
                f"{host}:{port} cannot be served on: {error.strerror or error}. "
                "Choose another port (--port)."
            ) from error
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        shown = _own_address() if host == "0.0.0.0" else host
        self.address = f"http://{shown}:{self._http.server_port}/{self._token}/"
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def wait_for_page(self, seconds: float) -> bool:
        """Whether a page has asked, at last."""
        with self._changed:
            return self._changed.wait_for(lambda: self._page is not None, seconds)

    def ask(
        self, job: Job, settings: Mapping[str, Any], seconds: float
    ) -> dict[str, Any] | None:
        """What a page answers to a job; None if none was heard of for so long."""
        with self._changed:
            self._number += 1
            self._job, self._answer = job, None
            self._asked = {
                "number": self._number,
                "images": job.images is not None,
                **settings,
            }
            self._heard = max(self._heard, time.monotonic())
            while self._answer is None:
                left = self._heard + seconds - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            answer, self._job, self._answer = self._answer, None, None
            return answer

    def show(self, job: Job, settings: Mapping[str, Any]) -> None:
        """Has a page run a job that has no answer, until `stop` or another job."""
        with self._changed:
            self._number += 1
            self._job = job
            self._asked = {"number": self._number, **settings}

    # What pages ask, in threads of their own.

    def path_of(self, path: str) -> str | None:
        """What is asked for, if the secret part is right."""
        start, _, rest = path.lstrip("/").partition("/")
        is_right = secrets.compare_digest(start.encode(), self._token.encode())
        return rest.partition("?")[0] if is_right else None

    def next_job(self, page: str, agent: str) -> dict[str, Any]:
        """A job for a page: its settings, nothing yet, or that another one is at it."""
        with self._changed:
            now = time.monotonic()
            if self._page not in (None, page) and now - self._heard < _SILENT_S:
                return {"busy": True}
            self._page, self._heard, self.agent = page, now, agent[:300]
            self._changed.notify_all()
            return dict(self._asked) if self._job else {}

    def take(self, page: str, answer: Any) -> bool:
        """Whether an answer is that of the job that is open."""
        with self._changed:
            good = isinstance(answer, dict) and answer.get("number") == self._number
            if not good or page != self._page or self._job is None:
                return False
            self._heard = time.monotonic()
            self._answer = answer
            self._changed.notify_all()
            return True

    def contents(self, path: str) -> tuple[bytes, str] | None:
        """A file to serve, and its kind; None if there is none."""
        job = self._job
        if path in ("model", "images"):
            data = getattr(job, path) if job else None
            return None if data is None else (data, "application/octet-stream")
        folder, _, name = (path or "page/index.html").partition("/")
        root = self._folders.get(folder)
        if root is None:
            return None
        file = (root / name).resolve()
        is_inside = file.is_relative_to(root.resolve())
        if not is_inside or file.suffix not in _KINDS or not file.is_file():
            return None
        return file.read_bytes(), _KINDS[file.suffix]


class _Handler(http.server.BaseHTTPRequestHandler):
    server_of_page: PageServer
    timeout = 60

    def do_GET(self) -> None:
        server, path = self.server_of_page, self._path()
        if path is None:
            self._say(404, b"Not here.", "text/plain")
        elif path == "job":
            agent = self.headers.get("User-Agent", "")
            self._say_json(server.next_job(self._page(), agent))
        else:
            found = server.contents(path)
            self._say(200, *found) if found else self._say(404, b"", "text/plain")

    def do_POST(self) -> None:
        path, length = self._path(), self.headers.get("Content-Length", "")
        if path != "answer" or not length.isdigit():
            self._say(404, b"Not here.", "text/plain")
            return
        if int(length) > _MOST_BYTES:
            self._say(413, b"Too large.", "text/plain")
            return
        try:
            answer = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            self._say(400, b"No JSON.", "text/plain")
            return
        good = self.server_of_page.take(self._page(), answer)
        self._say(200 if good else 409, b"", "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        pass  # Nothing that others send is printed.

    def _path(self):
        return self.server_of_page.path_of(self.path)

    def _page(self):
        return self.headers.get("X-Page", "")[:64]

    def _say_json(self, value):
        self._say(200, json.dumps(value).encode(), "application/json")

    def _say(self, status, data, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _own_address():
    """The address that others on the network reach this machine at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.connect(("192.0.2.1", 9))  # Sends nothing.
            return udp.getsockname()[0]
        except OSError:
            return "127.0.0.1"
