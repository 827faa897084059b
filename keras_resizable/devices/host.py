import importlib.metadata
import pathlib
import platform
import time

import numpy as np

from keras_resizable.export import open_tflite
from keras_resizable.extras import import_extra


class Host:
    """This machine, as a device to measure `.tflite` files on, by LiteRT.

    Args:
        name: What to call it in tables.

    Attributes:
        description: The machine, its processor and the version of LiteRT, as text.
    """

    def __init__(self, name="host"):
        self.name = name

    @property
    def description(self):
        import_extra("ai_edge_litert", "tflite")
        version = importlib.metadata.version("ai-edge-litert")
        return f"{platform.node()}, {_processor()}, LiteRT {version}"

    def measure(self, paths, threads=1, warmup=5, runs=50):
        """Times `.tflite` files, one image at a time.

        The runs of all files are interleaved, so that what else the machine does
        touches all alike.

        Args:
            paths: Paths of the files.
            threads: Number of threads.
            warmup: Runs of each that are not timed.
            runs: Runs of each that are.

        Returns:
            A list of dictionaries, one per file: `path`, and the `median_ms`,
            `p5_ms` and `p95_ms` of its runs, in milliseconds.

        Raises:
            ValueError: If a number is not positive, or a file is damaged.
            FileNotFoundError: If a file is missing.
            ImportError: If the extra `tflite` is not installed.
        """
        if threads < 1 or warmup < 0 or runs < 1:
            raise ValueError(
                "`threads` and `runs` must be at least 1, `warmup` at least 0. "
                f"Received: threads={threads}, warmup={warmup}, runs={runs}"
            )
        interpreters = [open_tflite(path, threads) for path in paths]
        generator = np.random.default_rng(0)
        for interpreter in interpreters:
            for tensor in interpreter.get_input_details():
                values = 255 * generator.random(tensor["shape"])
                interpreter.set_tensor(tensor["index"], values.astype(tensor["dtype"]))
        seconds = np.empty((len(interpreters), runs))
        for run in range(-warmup, runs):
            for number, interpreter in enumerate(interpreters):
                start = time.perf_counter()
                interpreter.invoke()
                if run >= 0:
                    seconds[number, run] = time.perf_counter() - start
        return [
            {
                "path": str(path),
                "median_ms": float(np.median(row)),
                "p5_ms": float(np.percentile(row, 5)),
                "p95_ms": float(np.percentile(row, 95)),
            }
            for path, row in zip(paths, 1000 * seconds)
        ]


def _processor():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # Not Linux.
    return platform.processor() or platform.machine()
