"""What `make demo` runs: `keras-resizable demo`, run from here."""

from keras_resizable_command import run

if __name__ == "__main__":
    run("demo")
