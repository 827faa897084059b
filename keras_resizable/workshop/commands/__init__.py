"""The commands of `keras-resizable`: flags, calls into the library, printed results."""
