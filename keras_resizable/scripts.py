"""What the scripts in `train/` and `tflite/` share."""

import sys

from absl import app, logging


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

    app.run(run)
