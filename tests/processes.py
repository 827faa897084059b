"""Processes of their own for tests, without importing TensorFlow again in each.

A server imports it once and forks: what it forks has computed nothing yet, has its own
folder, arguments and environment, and ends as a script does. What imports are like in a
fresh process is not seen here: tests of that start one.
"""

import dataclasses
import multiprocessing
import os
import pathlib
import runpy
import sys
import tempfile
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess

TESTS = pathlib.Path(__file__).parent
_context = multiprocessing.get_context("forkserver")


def _start_server():
    """Starts the server; it takes the path from the environment, and only then."""
    _context.set_forkserver_preload(["preloaded"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TESTS), before]))
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


@dataclasses.dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


def start(script, *arguments, folder, output, errors=None, env=None) -> BaseProcess:
    """Starts a script.

    Args:
        script: Path of the script, or its code after `-c`, the first of `arguments`.
        *arguments: Its arguments.
        folder: Folder to run it in.
        output: Path of a file for its output.
        errors: Path of a file for its errors; `output` if absent.
        env: Environment variables beside those of this process.

    Returns:
        A process, with `pid`, `join`, `kill` and `exitcode`.
    """
    _start_server()
    process = _context.Process(
        target=_run,
        args=(
            str(script),
            list(map(str, arguments)),
            str(folder),
            str(output),
            str(errors or output),
            {**os.environ, **(env or {})},
        ),
    )
    process.start()
    return process


def run(script, *arguments, folder, env=None) -> Result:
    """Runs a script to its end."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = [pathlib.Path(temporary) / name for name in ("output", "errors")]
        process = start(
            script, *arguments, folder=folder, output=paths[0], errors=paths[1], env=env
        )
        process.join()
        texts = [path.read_text() if path.exists() else "" for path in paths]
    return Result(process.exitcode, *texts)


def _run(script, arguments, folder, output, errors, env):
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for path, descriptor in ((output, 1), (errors, 2)):
        file = os.open(path, flags, 0o644)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    if script == "-c":
        sys.argv = ["-c", *arguments[1:]]
        sys.path.insert(0, "")
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
        return
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(pathlib.Path(script).parent))
    runpy.run_path(script, run_name="__main__")
