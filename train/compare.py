"""Compares two sub-networks: `keras-resizable compare`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("compare")
