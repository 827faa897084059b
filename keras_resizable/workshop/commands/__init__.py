"""What `keras-resizable` runs: flags, calls into the library, a printed result."""
