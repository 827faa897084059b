"""Writes sub-networks as a SavedModel: `keras-resizable export`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("export")
