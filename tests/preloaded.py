"""What the server in processes.py imports before it forks: nothing computes here."""

import gc
import os
import sys

# The server starts in a folder that may hold the library's sources.
sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import bokeh.embed  # noqa: E402, F401
import bokeh.models  # noqa: E402, F401
import bokeh.plotting  # noqa: E402, F401
import keras  # noqa: E402, F401
import litert_quantizer  # noqa: E402, F401
import matplotlib.backends.backend_agg  # noqa: E402, F401
import matplotlib.figure  # noqa: E402, F401
import pandas  # noqa: E402, F401
import scipy.stats  # noqa: E402, F401
import tensorboard.summary  # noqa: E402, F401
import tensorflow  # noqa: E402, F401
from ai_edge_litert import interpreter  # noqa: E402, F401

import keras_resizable  # noqa: E402, F401

# As in conftest.py: looking for garbage takes a tenth of the time.
gc.freeze()
gc.set_threshold(100_000, 20, 20)
