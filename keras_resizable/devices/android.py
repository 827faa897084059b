import hashlib
import pathlib
import re
import shlex
import subprocess
import warnings

from keras_resizable.devices import benchmark_output
from keras_resizable.devices.host import check_numbers
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
# What `adb` says when there is no device any more.
_GONE = re.compile(r"device '.*' not found|no devices|device offline|error: closed")
_HOT_CELSIUS = 40.0
_SECONDS = 60  # For commands that answer at once.


class DeviceError(OSError):
    """A device that cannot be measured on, or no longer.

    Attributes:
        results: What was measured before, as `measure` returns it.
    """

    def __init__(self, message, results=()):
        super().__init__(message)
        self.results = list(results)


class Android:
    """An Android device on `adb`, measured by the tool `benchmark_model`.

    The tool is that of TensorFlow Lite
    (https://ai.google.dev/edge/litert/models/measurement). What it and the models
    are called on the device is a digest of their content: what is there already is
    not sent again, and no file name is ever part of a command. `close` removes the
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
        profile: Whether to time every kind of operator too, which slows a little.

    Attributes:
        description: The device, its Android, chip and ABI, the tool, and how it is
            used, as text.

    Raises:
        DeviceError: If there is no `adb`, not one device that is ready, or no tool
            for it.
        ValueError: If `delegate` or `affinity` is not valid.
    """

    def __init__(
        self,
        name=None,
        serial=None,
        benchmark_binary=None,
        delegate="xnnpack",
        affinity=None,
        profile=False,
    ):
        if delegate not in DELEGATES:
            raise ValueError(
                f"`delegate` must be one of {DELEGATES}. Received: {delegate!r}"
            )
        if affinity is not None and not _is_mask(affinity):
            raise ValueError(
                "`affinity` is a mask of cores in hexadecimal, such as 'f0'. "
                f"Received: {affinity!r}"
            )
        self.delegate, self.affinity, self.profile = delegate, affinity, profile
        self.serial = _find_serial(serial)
        names = {
            "model": "ro.product.model",
            "android": "ro.build.version.release",
            "chip": "ro.soc.model",
            "abi": "ro.product.cpu.abi",
        }
        self.properties = {
            key: self._shell("getprop", name).strip() for key, name in names.items()
        }
        self.name = name or self.properties["model"].replace(" ", "_") or self.serial
        self._binary = _find_binary(benchmark_binary, self.properties["abi"])
        self._sent = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def description(self):
        properties = self.properties
        how = self.delegate + (f", cores {self.affinity}" if self.affinity else "")
        return (
            f"{properties['model']}, Android {properties['android']}, "
            f"{properties['chip'] or 'unknown chip'}, {properties['abi']}, "
            f"benchmark_model {_digest(self._binary)[:8]}, {how}"
        )

    def measure(self, paths, threads=1, warmup=5, runs=50):
        """Times `.tflite` files, one image at a time.

        Args:
            paths: Paths of the files.
            threads: Number of threads.
            warmup: Runs of each that are not timed.
            runs: Runs of each that are.

        Returns:
            A list of dictionaries, one per file, or one per signature of a bundle:
            what `Host.measure` returns, and `mean_ms`; `peak_memory_mb` is that of the
            tool. The median is the mean, and there are no percentiles, from tools that
            print none. With `profile`, also `operators`, milliseconds of a run by kind.

        Raises:
            DeviceError: If a run fails. What was measured before is in `results`.
            FileNotFoundError: If a file is missing.
            ValueError: If a number is not positive.
        """
        check_numbers(threads, warmup, runs)
        paths = [pathlib.Path(path) for path in paths]
        metadata = {path: read_metadata(path) for path in paths}
        results = []
        try:
            self._warn_if_hot()
            tool = self._send(self._binary, "benchmark_model")
            for path in paths:
                model = self._send(path, "model.tflite")
                self._sent.add(model)
                for signature in (metadata[path] or {}).get("signatures") or [None]:
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

    def close(self):
        """Removes the models from the device."""
        for path in sorted(self._sent):
            self._shell("rm", "-f", path)
        self._sent.clear()

    def _send(self, path, kind):
        """Copies a file to the device, unless it is there; its path there."""
        target = f"{FOLDER}/{_digest(path)}-{kind}"
        if self._shell("ls", target, check=False).strip() == target:
            return target
        self._shell("mkdir", "-p", FOLDER)
        partial = f"{target}.partial"
        try:
            self._adb("push", str(path), partial, timeout=None)
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

    def _shell(self, *command, check=True):
        return self._adb("shell", shlex.join(command), check=check)

    def _adb(self, *arguments, **options):
        return _adb("-s", self.serial, *arguments, **options)


def _adb(*arguments, check=True, timeout=_SECONDS, what="adb"):
    """What `adb` prints; one clear error if it, or `what` it runs, fails."""
    try:
        done = subprocess.run(
            ["adb", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise DeviceError(
            "There is no `adb`. Install Android's platform-tools (Debian: adb) and "
            "have it on the PATH."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"`adb {arguments[-1]}` gave no answer in {timeout} seconds. Is the "
            "device asleep? Try: adb kill-server"
        ) from error
    if done.returncode and check:
        raise DeviceError(_explain(arguments, done, what))
    return done.stdout


def _explain(arguments, done, what):
    said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
    last = "\n".join(said[-5:])
    # The words of `adb` itself; what runs on the device speaks on the other output.
    if _GONE.search(done.stderr):
        return f"The device is gone: {said[-1]}. Connect it and start again."
    if "No space left" in last:
        return f"The device has no space left in {FOLDER}: {said[-1]}"
    if what == "adb":
        return f"`adb {shlex.join(arguments)}` failed. It said last:\n{last}"
    how = f"code {done.returncode}"
    if done.returncode > 128:  # As shells say it.
        how = f"signal {done.returncode - 128}"
    return f"{what} ended with {how} on the device. It said last:\n{last}"


def _find_serial(serial):
    """The serial number of the one device that is ready, or that was asked for."""
    lines = _adb("devices").splitlines()
    states = dict(line.split("\t")[:2] for line in lines if "\t" in line)
    if serial is None:
        if not states:
            raise DeviceError(
                "No Android device. Connect one by USB with USB debugging on (in its "
                "developer options), or: adb connect <address>"
            )
        if len(states) > 1:
            raise DeviceError(
                f"There are several devices: {', '.join(states)}. Choose one by "
                "--serial."
            )
        (serial,) = states
    if serial not in states:
        raise DeviceError(
            f"No device has the serial number {serial!r}. There are: "
            f"{', '.join(states) or 'none'}."
        )
    if states[serial] == "unauthorized":
        raise DeviceError(
            f"The device {serial} has not authorised this computer: unlock it, and "
            "allow USB debugging in the question that it shows."
        )
    if states[serial] != "device":
        raise DeviceError(
            f"The device {serial} is {states[serial]}. Connect it anew, or: adb "
            "reconnect"
        )
    return serial


def _find_binary(path, abi):
    """The tool for a device, checked before it is sent."""
    if path is None:
        path = pathlib.Path.home() / ".cache/litert-cli/binaries" / abi
        path = path / "benchmark_model"
        if not path.is_file():
            raise DeviceError(
                f"The tool benchmark_model for {abi} is needed: give its path by "
                "--benchmark_binary. `pip install litert-cli` and one `litert "
                "benchmark --android` leave it where it is found; or download it as "
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


def _digest(path):
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _is_mask(text):
    try:
        return int(text, 16) > 0
    except ValueError:
        return False
