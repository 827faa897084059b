"""From photos to files for the phone: `keras-resizable photos`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("photos")
