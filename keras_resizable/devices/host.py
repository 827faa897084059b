"""This machine as a device."""

import importlib.metadata
import os
import pathlib
import platform
import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from keras_resizable.devices.names import check_name
from keras_resizable.export.running import open_tflite
from keras_resizable.utils.extras import import_extra


class Host:
    """This machine, as a device to measure `.tflite` files on, by LiteRT.

    Args:
        name: What to call it in tables.

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
        version = importlib.metadata.version("ai-edge-litert")
        return f"{platform.node()}, {_processor()}, LiteRT {version}"

    def measure(
        self,
        paths: Sequence[str | os.PathLike],
        threads: int = 1,
        warmup: int = 5,
        runs: int = 50,
    ) -> list[dict[str, Any]]:
        """Times `.tflite` files, one image at a time.

        The runs of all files are interleaved, so that other load on the machine
        affects all alike.

        Args:
            paths: Paths of the files.
            threads: Number of threads.
            warmup: Runs of each that are not timed.
            runs: Runs of each that are.

        Returns:
            A list of dictionaries, one per file, or one per signature of a file that
            has several: `path` and `signature`; the `median_ms`, `p5_ms` and `p95_ms`
            of its runs; `first_ms` and `init_ms`, the first run and the opening of the
            file, in milliseconds; `peak_memory_mb` that both added to the process,
            where Linux tells; `size_bytes` of the file.

        Raises:
            ValueError: If a number is not positive, or a file is damaged.
            FileNotFoundError: If a file is missing.
            ImportError: If the extra `tflite` is not installed.
        """
        check_numbers(threads, warmup, runs)
        for path in paths:
            open_tflite(path)  # Refused before anything is timed.
        results, calls = [], []
        for path in paths:
            for result, call in _open(path, threads):
                results.append(result)
                calls.append(call)
        seconds = np.empty((len(calls), runs))
        for run in range(-warmup, runs):
            for number, call in enumerate(calls):
                start = time.perf_counter()
                call()
                if run >= 0:
                    seconds[number, run] = time.perf_counter() - start
        for result, row in zip(results, 1000 * seconds):
            result["median_ms"] = float(np.median(row))
            result["p5_ms"] = float(np.percentile(row, 5))
            result["p95_ms"] = float(np.percentile(row, 95))
        return results


def check_numbers(threads: int, warmup: int, runs: int) -> None:
    """Refuses numbers that `measure` cannot do with."""
    if threads < 1 or warmup < 0 or runs < 1:
        raise ValueError(
            "`threads` and `runs` must be at least 1, `warmup` at least 0. "
            f"Received: threads={threads}, warmup={warmup}, runs={runs}"
        )


def _open(path, threads):
    """Opens a file; for each of its signatures what that took, and a call that runs."""
    memory_before = _memory("VmRSS") if _reset_peak() else None
    start = time.perf_counter()
    interpreter = open_tflite(path, threads)
    opened = time.perf_counter()
    signatures = list(interpreter.get_signature_list())
    for signature in signatures[1:] and signatures or [None]:
        call = _call(interpreter, signature)
        before_first = time.perf_counter()
        call()
        result = {
            "path": str(path),
            "signature": signature,
            "first_ms": 1000 * (time.perf_counter() - before_first),
            "init_ms": 1000 * (opened - start),
            "size_bytes": pathlib.Path(path).stat().st_size,
        }
        if memory_before is not None:
            result["peak_memory_mb"] = max(0, _memory("VmHWM") - memory_before)
        yield result, call


def _call(interpreter, signature):
    """A function that runs a signature, or all there is, on noise."""
    generator = np.random.default_rng(0)

    def noise(tensor):
        return (255 * generator.random(tensor["shape"])).astype(tensor["dtype"])

    if signature is None:
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], noise(tensor))
        return interpreter.invoke
    runner = interpreter.get_signature_runner(signature)
    inputs = {name: noise(of) for name, of in runner.get_input_details().items()}
    return lambda: runner(**inputs)


def _reset_peak():
    """Has Linux count the peak memory of this process anew; whether it does."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _memory(field):
    """MB of this process, of a field of Linux's `status`."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1000
    raise OSError(f"No {field} in /proc/self/status.")


def _processor():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # Not Linux.
    return platform.processor() or platform.machine()
