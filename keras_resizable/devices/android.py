"""Android devices, through adb."""

import hashlib
import os
import pathlib
import re
import shlex
import warnings
from typing import Any, Self

from keras_resizable.devices import benchmark_output
from keras_resizable.devices.adb import adb, find_serial
from keras_resizable.devices.device import Paths, Results
from keras_resizable.devices.host import check_numbers
from keras_resizable.devices.names import check_name, clean_name, printable
from keras_resizable.errors import DeviceError
from keras_resizable.export import read_metadata
from keras_resizable.utils.arguments import one_of

# Only flags that differ from the tool's defaults, as not every version knows them all.
_DELEGATE_FLAGS: dict[str, list[str]] = {
    "xnnpack": [],
    "none": ["--use_xnnpack=false"],
    "gpu": ["--use_gpu=true"],
    "nnapi": ["--use_nnapi=true"],
}
DELEGATES = tuple(_DELEGATE_FLAGS)
FOLDER = "/data/local/tmp/keras_resizable"
_ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64", "x86")
_HOT_CELSIUS = 40.0


class Android:
    """An Android device on `adb`, measured by TensorFlow Lite's `benchmark_model`.

    See https://ai.google.dev/edge/litert/models/measurement. On the device the tool and
    the models are named by a digest of their content: existing files are not sent
    again, and none of your file names is ever part of a command. `close` removes the
    models and leaves the tool; use the device in a `with` statement.

    Args:
        name: Name of the device in tables; by default its model.
        serial: Serial number, if several devices are connected.
        benchmark_binary: Path of `benchmark_model`, built for the device. If absent,
            the one that `litert benchmark --android` leaves in `~/.cache/litert-cli`.
        delegate: `"xnnpack"` or `"none"` for the CPU, `"gpu"`, or `"nnapi"`.
        affinity: Hexadecimal mask of the cores to run on, as for `taskset`, such as
            `"f0"`.
        profile: Whether to time every kind of operator, which slows runs a little.

    Attributes:
        description: The device, its Android, chip and ABI, the tool, and how it is
            used, as text.

    Raises:
        DeviceError: If `adb` or the tool is missing, not exactly one device is ready,
            or it lacks the cores of `affinity`.
        ValueError: If `name` or `delegate` is not valid.
    """

    def __init__(
        self,
        name: str | None = None,
        serial: str | None = None,
        *,
        benchmark_binary: str | os.PathLike | None = None,
        delegate: str = "xnnpack",
        affinity: str | None = None,
        profile: bool = False,
    ) -> None:
        one_of("delegate", delegate, DELEGATES)
        if name is not None:
            check_name(name)
        self.delegate, self.affinity, self.profile = delegate, affinity, profile
        self.serial = find_serial(serial)
        if affinity is not None:
            self._shell("taskset", affinity, "true")  # Fails here if it is not valid.
        model = self._property("ro.product.model")
        abi = self._property("ro.product.cpu.abi")
        self.name = name or clean_name(model) or clean_name(self.serial) or "android"
        self._binary = _find_binary(benchmark_binary, abi)
        # Read now, as the description is also needed when the device is gone.
        version = self._property("ro.build.version.release")
        chip = self._property("ro.soc.model") or "unknown chip"
        tool = f"benchmark_model {_digest(self._binary)[:8]}"
        how = delegate + (f", cores {affinity}" if affinity else "")
        self.description = f"{model}, Android {version}, {chip}, {abi}, {tool}, {how}"
        self._sent: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def measure(
        self, paths: Paths, threads: int = 1, warmup: int = 5, runs: int = 50
    ) -> Results:
        """Times `.tflite` files, with the arguments and results of `Host.measure`.

        Results also have `mean_ms`; `peak_memory_mb` is the tool's. If the tool prints
        no percentiles, `median_ms` is the mean and the other percentiles are absent.
        With `profile` there are also `operators`, milliseconds per run by kind.

        Raises:
            DeviceError: If a run fails. Its `results` are the measurements before it.
            FileNotFoundError: If a file is missing.
            ValueError: If a number is not positive.
        """
        check_numbers(threads, warmup, runs)
        files = [pathlib.Path(path) for path in paths]
        signatures = [_signatures(path) for path in files]
        options = [
            f"--num_threads={threads}",
            f"--warmup_runs={warmup}",
            "--warmup_min_secs=0",
            f"--num_runs={runs}",
            "--min_secs=0",
            "--report_peak_memory_footprint=true",
            *_DELEGATE_FLAGS[self.delegate],
            *(["--enable_op_profiling=true"] if self.profile else []),
        ]
        results = []
        try:
            self._warn_if_hot()
            tool = self._send(self._binary, "benchmark_model")
            for path, names in zip(files, signatures):
                model = self._send(path, "model.tflite")
                self._sent.add(model)
                for name in names:
                    chosen = [f"--signature_to_run_for={name}"] if name else []
                    output = self._run(tool, f"--graph={model}", *chosen, *options)
                    results.append(
                        {
                            "path": str(path),
                            "signature": name,
                            **benchmark_output.parse(output),
                            "size_bytes": path.stat().st_size,
                        }
                    )
            self._warn_if_hot()
        except (OSError, ValueError) as error:
            raise DeviceError(str(error), results) from error
        return results

    def close(self) -> None:
        """Removes the models from the device."""
        for path in sorted(self._sent):
            self._shell("rm", "-f", path, check=False)  # It may be gone.
        self._sent.clear()

    def _send(self, path, kind):
        """Copies a file to the device unless it is there; returns its path there."""
        target = f"{FOLDER}/{_digest(path)}-{kind}"
        if self._shell("ls", target, check=False).strip() == target:
            return target
        self._shell("mkdir", "-p", FOLDER)
        partial = f"{target}.partial"
        try:
            # An absolute path, as a name that begins with a dash would be an option.
            self._adb("push", str(path.absolute()), partial, timeout=None)
            self._shell("chmod", "755", partial)
            self._shell("mv", partial, target)
        finally:
            self._shell("rm", "-f", partial, check=False)
        return target

    def _run(self, *command):
        """Runs the tool on the device; returns its output."""
        if self.affinity is not None:
            command = ("taskset", self.affinity, *command)
        # Its process number is kept to end it if it runs on after an interruption.
        number = f"{FOLDER}/running"
        line = f"echo $$ > {number}; exec {shlex.join(command)} 2>&1"
        try:
            return self._adb("shell", line, timeout=None, what="benchmark_model")
        finally:
            self._adb("shell", f"kill $(cat {number}); rm -f {number}", check=False)

    def _warn_if_hot(self):
        status = self._find_number("thermalservice", "Thermal Status:")
        if status:
            warnings.warn(
                f"{self.name} is throttled (thermal status {status} of 6): let it "
                "cool down and measure again.",
                stacklevel=3,
            )
        celsius = self._find_number("battery", "temperature:") / 10
        if celsius > _HOT_CELSIUS:
            warnings.warn(
                f"The battery of {self.name} is at {celsius:.0f} °C: a hot device is "
                "slow.",
                stacklevel=3,
            )

    def _find_number(self, service, label):
        """The number that a service of Android prints after a label; 0 if none."""
        printed = self._shell("dumpsys", service, check=False)
        found = re.search(rf"^\s*{label}\s*(\d+)\s*$", printed, re.MULTILINE)
        return int(found[1]) if found else 0

    def _property(self, name):
        """A property of the device, safe as a table's cell: never a formula."""
        return printable(self._shell("getprop", name).strip()).lstrip("=+-@ ")

    def _shell(self, *command, check=True):
        return self._adb("shell", shlex.join(command), check=check)

    def _adb(self, *arguments, **options):
        return adb("-s", self.serial, *arguments, **options)


def _find_binary(path, abi):
    """The path of the tool for a device."""
    if path is not None:
        return pathlib.Path(path)
    home = os.path.expanduser("~")
    path = pathlib.Path(home, ".cache/litert-cli/binaries", abi, "benchmark_model")
    # An unknown name from the device must not become part of a path.
    if abi in _ABIS and path.is_file():
        return path
    raise DeviceError(
        f"The tool benchmark_model for {abi} is needed: give its path by "
        "`benchmark_binary` (--benchmark_binary on the command line). `pip install "
        "litert-cli` and one `litert benchmark --android` put it where it is found; "
        "or download it as described in "
        "https://ai.google.dev/edge/litert/models/measurement."
    )


def _signatures(path):
    """The signatures in the metadata of a file; [None] for the whole file."""
    signatures = (read_metadata(path) or {}).get("signatures")
    return list(signatures) if signatures and isinstance(signatures, dict) else [None]


def _digest(path):
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
