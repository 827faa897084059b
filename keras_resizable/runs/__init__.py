"""Runs: training that resumes after any interruption, and its folders."""

from keras_resizable.runs.fine_tuning import FineTuned, fine_tune
from keras_resizable.runs.folders import (
    LATEST,
    SETTINGS,
    SUB_NETWORK,
    find_run,
    open_run,
)
from keras_resizable.runs.history import write_history
from keras_resizable.runs.keeping import Checkpoint
from keras_resizable.runs.resuming import fit_resumable, make_deterministic
from keras_resizable.runs.run import Run
from keras_resizable.runs.saving import load_model, load_network, save_network
from keras_resizable.runs.training import train

__all__ = [
    "LATEST",
    "SETTINGS",
    "SUB_NETWORK",
    "Checkpoint",
    "FineTuned",
    "Run",
    "find_run",
    "fine_tune",
    "fit_resumable",
    "load_model",
    "load_network",
    "make_deterministic",
    "open_run",
    "save_network",
    "train",
    "write_history",
]
