"""Measures `.tflite` files: `keras-resizable benchmark`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("benchmark")
