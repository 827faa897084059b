"""Trains a resizable network: `keras-resizable train`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("train")
