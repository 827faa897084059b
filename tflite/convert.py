"""Writes sub-networks as `.tflite` files: `keras-resizable convert`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("convert")
