"""Android's debug bridge, with errors that tell how to fix them."""

import re
import shlex
import subprocess
from collections.abc import Sequence

from keras_resizable.devices.names import printable
from keras_resizable.errors import DeviceError

# Printed by `adb` when the device is no longer there.
_GONE = re.compile(r"device '.*' not found|no devices|device offline|error: closed")
_SECONDS = 60  # Timeout of commands that answer at once.


def run_program(
    command: Sequence[str], timeout: float | None, advice: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program without input; its output is safe for a terminal.

    Raises a DeviceError with advice if there is no such program, or it does not end in
    `timeout` seconds.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise DeviceError(
            f"`{command[0]}` is missing or does not answer: {error}. {advice}"
        ) from error
    done.stdout = printable(done.stdout, keep="\n\r\t")
    done.stderr = printable(done.stderr, keep="\n\r\t")
    return done


def adb(
    *arguments: str,
    check: bool = True,
    timeout: float | None = _SECONDS,
    what: str = "adb",
) -> str:
    """The output of `adb`; raises a DeviceError about `what` if `adb` fails."""
    done = run_program(
        ["adb", *arguments],
        timeout,
        "Install Android's platform-tools (Debian: adb) and have them on the PATH; if "
        "the device is asleep, wake it and try: adb kill-server",
    )
    if done.returncode and check:
        raise DeviceError(_explain(arguments, done, what))
    return done.stdout


def _explain(arguments, done, what):
    """The message of an error: why `adb` failed."""
    said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
    last = "\n".join(said[-5:])
    # `adb` itself writes to stderr; the output of programs on the device is in stdout.
    # When the cable is pulled out during a run, it may print nothing.
    if _GONE.search(done.stderr) or (
        what != "adb"
        and adb(*arguments[:2], "get-state", check=False).strip() != "device"
    ):
        return f"The device is gone: {said[-1]}. Connect it and start again."
    if "No space left" in last:
        return f"The device has no space left: {said[-1]}"
    if what == "adb":
        return f"`adb {shlex.join(arguments)}` failed. It said last:\n{last}"
    code = done.returncode
    # Shells report a signal as a code above 128.
    how = f"signal {code - 128}" if code > 128 else f"code {code}"
    return f"{what} ended with {how} on the device. It said last:\n{last}"


def find_serial(serial: str | None) -> str:
    """The serial number of the one device that is ready, or `serial` if it is."""
    lines = adb("devices").splitlines()
    states = dict(line.split("\t")[:2] for line in lines if "\t" in line)
    if serial is None and len(states) == 1:
        (serial,) = states
    if serial is not None and states.get(serial) == "device":
        return serial
    known = ", ".join(f"{name} ({state})" for name, state in states.items())
    raise DeviceError(
        "An Android device must be connected by USB, with USB debugging on (in its "
        "developer options) and allowed in the device's dialog, or by `adb "
        "connect <address>`. Of several, choose one by its `serial` (--serial). "
        f"Received: serial={serial!r}, with {known or 'none'} connected"
    )
