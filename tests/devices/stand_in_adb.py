"""A stand-in for `adb` and for Android: a folder that keeps one device.

    python stand_in_adb.py FOLDER devices
    python stand_in_adb.py FOLDER -s SERIAL push FILE /data/local/tmp/...
    python stand_in_adb.py FOLDER -s SERIAL shell COMMAND

FOLDER/device.json says what devices there are and what goes wrong; everything below
/data/local/tmp of the device is in FOLDER. Commands run in this machine's shell, as
those of the device do in its. In the place of the tool benchmark_model, which is built
for other processors, stand_in_benchmark_model.py runs. Each call is noted in
FOLDER/calls.txt.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import sys

TOOL = pathlib.Path(__file__).with_name("stand_in_benchmark_model.py")
REMOTE = "/data/local/tmp"


def main(folder, *arguments):
    folder = pathlib.Path(folder)
    device = json.loads((folder / "device.json").read_text())
    with (folder / "calls.txt").open("a") as file:
        file.write(shlex.join(arguments) + "\n")
    if arguments == ("devices",):
        print("List of devices attached")
        for serial, state in device["states"].items():
            print(f"{serial}\t{state}")
        print()
        return 0
    assert arguments[0] == "-s", arguments
    _, serial, verb, *rest = arguments
    runs = (folder / "calls.txt").read_text().count("--graph=")
    if runs > device.get("gone_after", runs):
        if rest and "--graph=" in rest[-1]:  # Pulled out in the middle of it.
            return 255
        print(f"adb: device '{serial}' not found", file=sys.stderr)
        return 1
    if verb == "get-state":
        print(device["states"][serial])
        return 0
    if verb == "push":
        return push(folder, device, *rest)
    assert verb == "shell" and len(rest) == 1, arguments
    return shell(folder, device, rest[0])


def push(folder, device, source, target):
    assert not source.startswith("-"), source  # It would be an option.
    if device.get("full"):
        print(
            f"adb: error: failed to copy '{source}' to '{target}': remote write "
            "failed: No space left on device",
            file=sys.stderr,
        )
        return 1
    place = folder / pathlib.PurePosixPath(target).relative_to(REMOTE)
    shutil.copyfile(source, place)
    print(f"{source}: 1 file pushed, 0 skipped. 30.1 MB/s (1 bytes in 0.000s)")
    return 0


def shell(folder, device, command):
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, answers in (
        ("getprop", device["properties"]),
        ("dumpsys", device.get("services", {})),
    ):
        lines = [
            f"[ \"$1\" = {shlex.quote(key)} ] && printf '%s\\n' {shlex.quote(value)}"
            for key, value in answers.items()
        ]
        program = programs / name
        program.write_text("\n".join(["#!/bin/sh", *lines, "exit 0"]) + "\n")
        program.chmod(0o755)
    fault = device.get("fault", "")
    tool = shlex.join(["env", f"FAULT={fault}", sys.executable, str(TOOL)])
    command = re.sub(rf"{REMOTE}\S*-benchmark_model(?= --graph)", tool, command)
    # What it prints is of the device, as far as it can be told.
    here = str(folder)
    command = command.replace(REMOTE, shlex.quote(here))
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    status = os.waitstatus_to_exitcode(
        os.system(f"{{ {command}\n}} > {shlex.quote(here)}/output 2> /dev/stderr")
    )
    print((folder / "output").read_text().replace(here, REMOTE), end="")
    return status if status >= 0 else 128 - status  # As `adb` tells of signals.


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
