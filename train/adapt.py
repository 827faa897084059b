"""Answers each image by its own sub-network: `keras-resizable adapt`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("adapt")
