"""The server of the page that measures in a browser."""

import http.server
import json
import pathlib
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

PAGE = pathlib.Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
}
_MOST_BYTES = 16 * 2**20  # The limit of a page's answer.
_SILENT_S = 10.0  # After this silence another page may take over.
# An isolated page has a finer clock and threads.
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageServer(http.server.ThreadingHTTPServer):
    """Serves the page and one job at a time, to the first page that asks, until `stop`.

    A job has settings, which are sent as JSON, and files by name: `model`, and
    optionally `images`. `address` has a part that cannot be guessed; `agent` is the
    browser's description of itself.
    """

    def __init__(self, runtime: pathlib.Path, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)
        self._folders = {"litert": runtime, "page": PAGE}
        self._token = secrets.token_urlsafe(16)
        self._changed = threading.Condition()
        self._page: str | None = None
        self._heard = 0.0
        self._number = 0
        self._job: dict[str, Any] = {}  # The settings; empty if no job is open.
        self._files: Mapping[str, bytes] = {}
        self._answer: dict[str, Any] | None = None
        self.agent = ""
        shown = _own_address() if host == "0.0.0.0" else host
        self.address = f"http://{shown}:{self.server_port}/{self._token}/"
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the server and its thread."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def wait_for_page(self, seconds: float) -> bool:
        """Waits until a page asks for a job; returns whether one did."""
        with self._changed:
            return self._changed.wait_for(lambda: self._page is not None, seconds)

    def ask(
        self, files: Mapping[str, bytes], settings: Mapping[str, Any], seconds: float
    ) -> dict[str, Any] | None:
        """A page's answer to a job; None if no page made contact for too long."""
        with self._changed:
            self.show(files, settings)
            self._heard = max(self._heard, time.monotonic())
            while self._answer is None:
                left = self._heard + seconds - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._job, self._files = {}, {}
            return self._answer

    def show(self, files: Mapping[str, bytes], settings: Mapping[str, Any]) -> None:
        """Makes a page run a job without an answer, until `stop` or another job."""
        with self._changed:
            self._number += 1
            about = {"number": self._number, "images": "images" in files}
            self._job, self._files, self._answer = {**about, **settings}, files, None

    # Requests of pages, each in its own thread.

    def path_of(self, path: str) -> str | None:
        """The requested path behind the secret part; None if that part is wrong."""
        start, _, rest = path.lstrip("/").partition("/")
        is_right = secrets.compare_digest(start.encode(), self._token.encode())
        return rest.partition("?")[0] if is_right else None

    def next_job(self, page: str, agent: str) -> dict[str, Any]:
        """The open job for a page, if any, or that another page is measuring."""
        with self._changed:
            now = time.monotonic()
            if self._page not in (None, page) and now - self._heard < _SILENT_S:
                return {"busy": True}
            self._page, self._heard, self.agent = page, now, agent[:300]
            self._changed.notify_all()
            return self._job

    def take(self, page: str, answer: Any) -> bool:
        """Takes the answer to the open job; returns False for any other answer."""
        with self._changed:
            good = isinstance(answer, dict) and answer.get("number") == self._number
            if not good or page != self._page or not self._job:
                return False
            self._heard = time.monotonic()
            self._answer = answer
            self._changed.notify_all()
            return True

    def contents(self, path: str) -> tuple[bytes, str] | None:
        """A file to serve and its MIME type; None if there is none."""
        if path in ("model", "images"):
            data = self._files.get(path)
            return None if data is None else (data, "application/octet-stream")
        folder, _, name = (path or "page/index.html").partition("/")
        root = self._folders.get(folder)
        if root is None:
            return None
        file = (root / name).resolve()
        is_inside = file.is_relative_to(root.resolve())
        if not is_inside or file.suffix not in _TYPES or not file.is_file():
            return None
        return file.read_bytes(), _TYPES[file.suffix]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PageServer
    timeout = 60

    def do_GET(self) -> None:
        path = self.server.path_of(self.path)
        if path == "job":
            agent = self.headers.get("User-Agent", "")
            job = json.dumps(self.server.next_job(self._page(), agent))
            self._send(200, job.encode(), "application/json")
        elif path is not None and (found := self.server.contents(path)):
            self._send(200, *found)
        else:
            self._send(404, b"Not here.")

    def do_POST(self) -> None:
        path = self.server.path_of(self.path)
        length = self.headers.get("Content-Length", "")
        if path != "answer" or not length.isdigit():
            self._send(404, b"Not here.")
        elif int(length) > _MOST_BYTES:
            self._send(413, b"Too large.")
        else:
            try:
                answer = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                self._send(400, b"No JSON.")
            else:
                self._send(200 if self.server.take(self._page(), answer) else 409)

    def log_message(self, format: str, *args: Any) -> None:
        pass  # Nothing from a request is printed.

    def _page(self):
        return self.headers.get("X-Page", "")[:64]

    def _send(self, status, data=b"", kind="text/plain"):
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data))} | _HEADERS
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _own_address():
    """The address of this machine on its network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.connect(("192.0.2.1", 9))  # Sends nothing.
            return udp.getsockname()[0]
        except OSError:
            return "127.0.0.1"
