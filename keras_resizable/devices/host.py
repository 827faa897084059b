"""This machine as a device."""

import functools
import pathlib
import platform
import re
import time
from typing import Any, Self

import numpy as np

from keras_resizable.devices.device import Paths, Results
from keras_resizable.devices.names import check_name
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.utils.arguments import integer
from keras_resizable.utils.extras import import_extra, version_of


class Host:
    """This machine, as a device that measures `.tflite` files by LiteRT.

    Args:
        name: Name of the device in tables.

    Attributes:
        description: The machine, its processor and the version of LiteRT, as text.

    Raises:
        ValueError: If `name` is not valid.
    """

    def __init__(self, name: str = "host") -> None:
        check_name(name)
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    @property
    def description(self) -> str:
        import_extra("ai_edge_litert", "tflite")
        litert = f"LiteRT {version_of('ai-edge-litert')}"
        return f"{platform.node()}, {_processor()}, {litert}"

    def measure(
        self, paths: Paths, threads: int = 1, warmup: int = 5, runs: int = 50
    ) -> Results:
        """Times `.tflite` files, one image at a time.

        The runs of all files are interleaved, so that other load on the machine affects
        them equally.

        Args:
            paths: Paths of the files.
            threads: Number of threads.
            warmup: Untimed runs of each file.
            runs: Timed runs of each file.

        Returns:
            A list of dictionaries, one per file, or one per signature of a file with
            several: `path` and `signature`; `median_ms`, `p5_ms` and `p95_ms` of the
            runs; `first_ms` and `init_ms` for the first run and the opening of the
            file; `peak_memory_mb`, the memory that these two added to the process, on
            Linux only; `size_bytes` of the file.

        Raises:
            ValueError: If a number is not positive, or a file is damaged.
            FileNotFoundError: If a file is missing.
            ImportError: If the extra `tflite` is not installed.
        """
        check_numbers(threads, warmup, runs)
        for path in paths:
            open_tflite(path)  # A damaged file is found before anything is timed.
        opened = [pair for path in paths for pair in _open(path, threads)]
        seconds = np.empty((len(opened), runs))
        for run in range(-warmup, runs):
            for number, (_, call) in enumerate(opened):
                start = time.perf_counter()
                call()
                if run >= 0:
                    seconds[number, run] = time.perf_counter() - start
        results = []
        for (result, _), row in zip(opened, 1000 * seconds):
            p5, median, p95 = np.percentile(row, (5, 50, 95)).tolist()
            results.append(result | {"median_ms": median, "p5_ms": p5, "p95_ms": p95})
        return results


def check_numbers(threads: int, warmup: int, runs: int) -> None:
    """Raises for numbers that `measure` does not support."""
    integer("threads", threads, 1)
    integer("warmup", warmup, 0)
    integer("runs", runs, 1)


def _open(path, threads):
    """For each signature of a file, the results of its first run, and a function."""
    memory_before = _memory("VmRSS") if _reset_peak() else None
    start = time.perf_counter()
    interpreter = open_tflite(path, threads)
    init_ms = 1000 * (time.perf_counter() - start)
    signatures = list(interpreter.get_signature_list())
    for signature in signatures if len(signatures) > 1 else [None]:
        call = _call(interpreter, signature)
        before_first = time.perf_counter()
        call()
        result = {
            "path": str(path),
            "signature": signature,
            "first_ms": 1000 * (time.perf_counter() - before_first),
            "init_ms": init_ms,
            "size_bytes": pathlib.Path(path).stat().st_size,
        }
        if memory_before is not None:
            result["peak_memory_mb"] = max(0, _memory("VmHWM") - memory_before)
        yield result, call


def _call(interpreter, signature):
    """A function that runs a signature, or the whole file if None, on noise."""
    generator = np.random.default_rng(0)

    def noise(tensor):
        return (255 * generator.random(tensor["shape"])).astype(tensor["dtype"])

    if signature is None:
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], noise(tensor))
        return interpreter.invoke
    runner = interpreter.get_signature_runner(signature)
    inputs = {name: noise(of) for name, of in runner.get_input_details().items()}
    return functools.partial(runner, **inputs)


def _reset_peak():
    """Resets the peak memory of this process, on Linux; returns whether it did."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _memory(field):
    """MB of this process in a field of Linux's `status`."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.findall(rf"^{field}:\s*(\d+) kB", status, re.M)[0]) / 1000


def _processor():
    try:
        cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:  # Not Linux.
        cpuinfo = ""
    found = re.search(r"^model name\s*:(.*)", cpuinfo, re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()
