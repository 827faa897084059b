"""Running a command: parsing its flags, and reporting errors."""

import difflib
import logging
import re
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import pydantic
import tensorflow as tf
from absl import app
from absl import logging as absl_logging
from absl.flags import FLAGS, Error, UnrecognizedFlagError

from keras_resizable.utils.messages import in_one_line

# Commands print by the log, which `run_script` shows on standard output.
say = logging.getLogger("keras_resizable.commands").info
_INTERRUPTED = 130  # 128 and the number of the signal, as in shells.
_WHERE = "(--verbosity=1 shows where.)"
# Lines of TensorFlow's messages that do not tell the reason, only places in a graph.
_AROUND_REASON = re.compile(
    r"Graph execution error|Detected at node|File \"|<stack traces|\[\[|"
    r"\d+ root error|\d+ successful|\d+ derived|$"
)


def run_command(module: types.ModuleType) -> None:
    """Runs the module of a command, whose docstring and flags `--help` shows."""
    sys.modules["__main__"].__doc__ = module.__doc__
    for flag in FLAGS.get_key_flags_for_module(module.__name__):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    run_script(module.main)


def run_script(main: Callable[[list[str]], Any]) -> None:
    """Runs `main(argv)` with absl's flags; an error prints one line.

    With `--verbosity=1` it prints a traceback. An interruption exits with 130.
    """

    def run(argv):
        warnings.formatwarning = _format_warning
        log = logging.getLogger("keras_resizable")
        log.setLevel(logging.INFO)
        log.addHandler(logging.StreamHandler(sys.stdout))
        log.propagate = False
        if absl_logging.level_debug():
            main(argv)
            return
        # Hide TensorFlow's message for every file it writes.
        absl_logging.set_verbosity(absl_logging.WARNING)
        try:
            main(argv)
        except KeyboardInterrupt:
            sys.stderr.write(
                "Interrupted. The same command resumes from what was saved.\n"
            )
            sys.exit(_INTERRUPTED)
        except pydantic.ValidationError as error:
            sys.exit(f"error: {in_one_line(error)}")
        except (ArithmeticError, ImportError, OSError, ValueError) as error:
            sys.exit(f"error: {error}")
        except (RuntimeError, tf.errors.OpError) as error:
            sys.exit(f"error: {_reason(error)} {_WHERE}")

    app.run(run, flags_parser=_parse_flags)


def refuse_arguments(argv: list[str]) -> None:
    """Raises for an argument that is not a flag, in a script that takes only flags."""
    if argv[1:]:
        raise ValueError(f"Not a flag: {' '.join(argv[1:])}. See --help.")


def _format_warning(message, *args, **kwargs):
    return f"warning: {message}\n"


def _reason(error):
    """The line with the reason in an error of TensorFlow or LiteRT."""
    if not isinstance(error, tf.errors.OpError):
        return " ".join(str(error).split()) or type(error).__name__
    lines = [line.strip() for line in error.message.splitlines()]
    lines = [line for line in lines if not _AROUND_REASON.match(line)]
    reason = lines[0] if lines else type(error).__name__
    reason = re.sub(r"\{\{.*?\}\} ?|^\(\d+\) \w+: *", "", reason)
    return re.sub(r" *\[Op:[^]]*\].*$", "", reason)


def _parse_flags(argv):
    try:
        return FLAGS(argv)
    except UnrecognizedFlagError as error:
        names = _names_of_own_flags()
        similar = difflib.get_close_matches(error.flagname, names, n=1)
        meant = f" Did you mean --{similar[0]}?" if similar else ""
        sys.exit(
            f"error: There is no flag --{error.flagname}.{meant} Flags are: "
            f"{', '.join(names)}; and see --help."
        )
    except Error as error:
        sys.exit(f"error: {error}")


def _names_of_own_flags():
    """The flags of the command and the script, without other packages' flags."""
    own = (__package__, sys.argv[0])  # absl files a script under its path.
    return sorted(
        flag.name
        for module, flags in FLAGS.flags_by_module_dict().items()
        if module.startswith(own)
        for flag in flags
    )
