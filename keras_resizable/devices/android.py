"""Android devices, through adb."""

import hashlib
import os
import pathlib
import shlex
import warnings
from collections.abc import Sequence
from typing import Any, Self

from keras_resizable.devices import benchmark_output
from keras_resizable.devices.adb import DeviceError, adb, find_serial
from keras_resizable.devices.host import check_numbers
from keras_resizable.devices.names import check_name, clean_name, printable
from keras_resizable.export import read_metadata

# Only what is not the tool's default, as not every version knows each of these.
_DELEGATE_FLAGS: dict[str, list[str]] = {
    "xnnpack": [],
    "none": ["--use_xnnpack=false"],
    "gpu": ["--use_gpu=true"],
    "nnapi": ["--use_nnapi=true"],
}
DELEGATES = tuple(_DELEGATE_FLAGS)
FOLDER = "/data/local/tmp/keras_resizable"
# Machines of ELF files, by what Android calls them.
_MACHINES = {"arm64-v8a": 183, "armeabi-v7a": 40, "x86_64": 62, "x86": 3}
_HOT_CELSIUS = 40.0


class Android:
    """An Android device on `adb`, measured by the tool `benchmark_model`.

    The tool is that of TensorFlow Lite
    (https://ai.google.dev/edge/litert/models/measurement). On the device it and the
    models are named by a digest of their content: existing files are not sent again,
    and no file name of yours is ever part of a command. `close` removes the
    models and leaves the tool; use the device in a `with` statement.

    Args:
        name: What to call it in tables; the model of the device if absent.
        serial: Serial number, if several devices are connected.
        benchmark_binary: Path of `benchmark_model`, built for the device. If absent,
            what `litert benchmark --android` has left in `~/.cache/litert-cli`.
        delegate: What computes: `"xnnpack"` or `"none"` on the CPU, `"gpu"`, or
            `"nnapi"`.
        affinity: Mask of the cores to run on, hexadecimal as `taskset` takes it,
            such as `"f0"`.
        profile: Whether to also time every kind of operator, which slows runs a little.

    Attributes:
        description: The device, its Android, chip and ABI, the tool, and how it is
            used, as text.

    Raises:
        DeviceError: If there is no `adb`, not one device that is ready, or no tool
            for it.
        ValueError: If `name`, `delegate` or `affinity` is not valid.
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
        if delegate not in DELEGATES:
            raise ValueError(
                f"`delegate` must be one of {DELEGATES}. Received: {delegate!r}"
            )
        if affinity is not None and not _is_mask(affinity):
            raise ValueError(
                "`affinity` is a mask of cores in hexadecimal, such as 'f0'. "
                f"Received: {affinity!r}"
            )
        if name is not None:
            check_name(name)
        self.delegate, self.affinity, self.profile = delegate, affinity, profile
        self.serial = find_serial(serial)
        names = {
            "model": "ro.product.model",
            "android": "ro.build.version.release",
            "chip": "ro.soc.model",
            "abi": "ro.product.cpu.abi",
        }
        self.properties = {key: self._property(wanted) for key, wanted in names.items()}
        called = clean_name(self.properties["model"]) or clean_name(self.serial)
        self.name = name or called or "android"
        self._binary = _find_binary(benchmark_binary, self.properties["abi"])
        self._sent: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    def description(self) -> str:
        properties = self.properties
        how = self.delegate + (f", cores {self.affinity}" if self.affinity else "")
        return (
            f"{properties['model']}, Android {properties['android']}, "
            f"{properties['chip'] or 'unknown chip'}, {properties['abi']}, "
            f"benchmark_model {_digest(self._binary)[:8]}, {how}"
        )

    def measure(
        self,
        paths: Sequence[str | os.PathLike],
        threads: int = 1,
        warmup: int = 5,
        runs: int = 50,
    ) -> list[dict[str, Any]]:
        """Times `.tflite` files, one image at a time.

        Args:
            paths: Paths of the files.
            threads: Number of threads.
            warmup: Runs of each that are not timed.
            runs: Runs of each that are.

        Returns:
            A list of dictionaries, one per file, or one per signature of a bundle:
            what `Host.measure` returns, and `mean_ms`; `peak_memory_mb` is that of the
            tool. If the tool prints no percentiles, there are none, and the median is
            the mean. With `profile`, also `operators`, milliseconds of a run by kind.

        Raises:
            DeviceError: If a run fails. What was measured before is in `results`.
            FileNotFoundError: If a file is missing.
            ValueError: If a number is not positive.
        """
        check_numbers(threads, warmup, runs)
        files = [pathlib.Path(path) for path in paths]
        metadata = {path: read_metadata(path) for path in files}
        results = []
        try:
            self._warn_if_hot()
            tool = self._send(self._binary, "benchmark_model")
            for path in files:
                model = self._send(path, "model.tflite")
                self._sent.add(model)
                for signature in _signatures(metadata[path]):
                    output = self._run(
                        tool,
                        f"--graph={model}",
                        *([f"--signature_to_run_for={signature}"] if signature else []),
                        f"--num_threads={threads}",
                        f"--warmup_runs={warmup}",
                        "--warmup_min_secs=0",
                        f"--num_runs={runs}",
                        "--min_secs=0",
                        "--report_peak_memory_footprint=true",
                        *_DELEGATE_FLAGS[self.delegate],
                        *(["--enable_op_profiling=true"] if self.profile else []),
                    )
                    results.append(
                        {
                            "path": str(path),
                            "signature": signature,
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
        """Copies a file to the device, unless it is there; its path there."""
        target = f"{FOLDER}/{_digest(path)}-{kind}"
        if self._shell("ls", target, check=False).strip() == target:
            return target
        self._shell("mkdir", "-p", FOLDER)
        partial = f"{target}.partial"
        try:
            # In full, as a name that begins with a dash would be an option.
            self._adb("push", str(path.absolute()), partial, timeout=None)
            self._shell("chmod", "755", partial)
            self._shell("mv", partial, target)
        except BaseException:
            self._shell("rm", "-f", partial, check=False)
            raise
        return target

    def _run(self, tool, *arguments):
        command = [tool, *arguments]
        if self.affinity is not None:
            command = ["taskset", self.affinity, *command]
        # Its number is kept, as it would go on after an interruption here.
        number = f"{FOLDER}/running"
        line = f"echo $$ > {number}; exec {shlex.join(command)} 2>&1"
        try:
            return self._adb("shell", line, timeout=None, what="benchmark_model")
        except KeyboardInterrupt:
            self._adb("shell", f"kill $(cat {number})", check=False)
            raise
        except DeviceError as error:
            # Pulled out in the middle of a run, `adb` may say nothing.
            if self._adb("get-state", check=False).strip() != "device":
                raise DeviceError(
                    f"The device is gone. Connect it and start again. {error}"
                ) from error
            raise
        finally:
            self._shell("rm", "-f", number, check=False)

    def _warn_if_hot(self):
        status = self._find_number("thermalservice", "Thermal Status:")
        if status:
            warnings.warn(
                f"{self.name} is throttled (thermal status {status:.0f} of 6): let it "
                "cool down and measure again.",
                stacklevel=3,
            )
        tenths = self._find_number("battery", "temperature:")
        if tenths is not None and tenths / 10 > _HOT_CELSIUS:
            warnings.warn(
                f"The battery of {self.name} is at {tenths / 10:.0f} °C: what is "
                "measured on a hot device is slow.",
                stacklevel=3,
            )

    def _find_number(self, service, label):
        """What a service of Android says after a label; None if it says nothing."""
        for line in self._shell("dumpsys", service, check=False).splitlines():
            if line.strip().startswith(label):
                try:
                    return float(line.partition(":")[2])
                except ValueError:
                    return None
        return None

    def _property(self, name):
        """What the device says of itself; no formula where it begins a table's cell."""
        return printable(self._shell("getprop", name).strip()).lstrip("=+-@ ")

    def _shell(self, *command, check=True):
        return self._adb("shell", shlex.join(command), check=check)

    def _adb(self, *arguments, **options):
        return adb("-s", self.serial, *arguments, **options)


def _find_binary(path, abi):
    """The tool for a device, checked before it is sent."""
    if path is None:
        home = os.path.expanduser("~")
        path = pathlib.Path(home, ".cache/litert-cli/binaries", abi, "benchmark_model")
        # What the device says is no part of a path, unless it is known.
        if abi not in _MACHINES or not path.is_file():
            raise DeviceError(
                f"The tool benchmark_model for {abi} is needed: give its path by "
                "`benchmark_binary` (--benchmark_binary on the command line). `pip "
                "install litert-cli` and one `litert benchmark --android` leave it "
                "where it is found; or download it as "
                "https://ai.google.dev/edge/litert/models/measurement says."
            )
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no benchmark_model at {path}.")
    with path.open("rb") as file:
        header = file.read(20)
    machine = int.from_bytes(header[18:20], "little")
    if header[:4] != b"\x7fELF" or _MACHINES.get(abi, machine) != machine:
        built_for = {number: name for name, number in _MACHINES.items()}.get(machine)
        is_elf = header[:4] == b"\x7fELF"
        what = f"built for {built_for or 'something else'}" if is_elf else "no program"
        raise DeviceError(f"{path} is {what}, and the device is {abi}.")
    return path


def _signatures(metadata):
    """The signatures that a file has by its metadata; None for all there is."""
    signatures = (metadata or {}).get("signatures")
    return list(signatures) if signatures and isinstance(signatures, dict) else [None]


def _digest(path):
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _is_mask(text):
    try:
        return int(text, 16) > 0
    except ValueError:
        return False
