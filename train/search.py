"""Evaluates the sub-networks of a run: `keras-resizable search`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("search")
