"""Runs: training that resumes after any interruption, and its folders."""

from keras_resizable.workshop.runs.fine_tuning import FineTuned, fine_tune
from keras_resizable.workshop.runs.keras_files import load_network, save_network
from keras_resizable.workshop.runs.resuming import fit_resumable
from keras_resizable.workshop.runs.run import Run
from keras_resizable.workshop.runs.training import train

__all__ = [
    "FineTuned",
    "Run",
    "fine_tune",
    "fit_resumable",
    "load_network",
    "save_network",
    "train",
]
