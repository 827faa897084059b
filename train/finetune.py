"""Trains one sub-network further: `keras-resizable finetune`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("finetune")
