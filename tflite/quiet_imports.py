"""What train/quiet.py does, for the scripts of this folder. To be imported first."""

import pathlib
import runpy

runpy.run_path(str(pathlib.Path(__file__).parents[1] / "train" / "quiet.py"))
