"""Android's debug bridge, with errors that say what to do."""

import re
import shlex
import subprocess
from collections.abc import Iterable
from typing import Any

from keras_resizable.devices.names import printable

# What `adb` says when there is no device any more.
_GONE = re.compile(r"device '.*' not found|no devices|device offline|error: closed")
_SECONDS = 60  # For commands that answer at once.


class DeviceError(OSError):
    """A device that cannot be measured on, or no longer.

    Attributes:
        results: What was measured before, as `measure` returns it.
    """

    def __init__(self, message: str, results: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.results = list(results)


def adb(
    *arguments: str,
    check: bool = True,
    timeout: float | None = _SECONDS,
    what: str = "adb",
) -> str:
    """What `adb` prints, in characters that a terminal can show.

    Args:
        *arguments: Those of `adb`.
        check: Whether to raise if it fails.
        timeout: Seconds to wait for an answer; None for as long as it takes.
        what: What fails if it does, in the words of the error.

    Raises:
        DeviceError: If there is no `adb`, it does not answer, or it fails.
    """
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
    done.stdout, done.stderr = (
        printable(text, keep="\n\r\t") for text in (done.stdout, done.stderr)
    )
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
        return f"The device has no space left: {said[-1]}"
    if what == "adb":
        return f"`adb {shlex.join(arguments)}` failed. It said last:\n{last}"
    how = f"code {done.returncode}"
    if done.returncode > 128:  # As shells say it.
        how = f"signal {done.returncode - 128}"
    return f"{what} ended with {how} on the device. It said last:\n{last}"


def find_serial(serial: str | None) -> str:
    """The serial number of the one device that is ready, or of that asked for.

    Raises:
        DeviceError: If there is none, several, or it is not ready.
    """
    lines = adb("devices").splitlines()
    states = dict(line.split("\t")[:2] for line in lines if "\t" in line)
    if serial is None:
        if not states:
            raise DeviceError(
                "No Android device. Connect one by USB with USB debugging on (in its "
                "developer options), or: adb connect <address>"
            )
        if len(states) > 1:
            raise DeviceError(
                f"There are several devices: {', '.join(states)}. Choose one by its "
                "`serial` (--serial on the command line)."
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
