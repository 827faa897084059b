"""What the scripts in `train/` and `tflite/` share."""

import sys

from absl import app, logging
from absl.flags import FLAGS, Error, UnrecognizedFlagError


def run_script(main):
    """Runs `main(argv)` with absl's flags; bad input ends in one line.

    With `--verbosity=1` in a traceback.
    """

    def run(argv):
        try:
            if not logging.level_debug():
                # Not what TensorFlow says of every file it writes.
                logging.set_verbosity(logging.WARNING)
            main(argv)
        except (ArithmeticError, ImportError, OSError, ValueError) as error:
            if logging.level_debug():
                raise
            sys.exit(f"error: {error}")

    app.run(run, flags_parser=_parse_flags)


def _parse_flags(argv):
    try:
        return FLAGS(argv)
    except UnrecognizedFlagError as error:
        names = sorted(
            flag.name
            for module, group in FLAGS.flags_by_module_dict().items()
            if not module.startswith("absl")
            for flag in group
        )
        sys.exit(
            f"error: There is no flag --{error.flagname}. There are: "
            f"{', '.join(names)}; and see --help."
        )
    except Error as error:
        sys.exit(f"error: {error}")
