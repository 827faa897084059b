"""Runs the tests it is given, for Bazel."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["--numprocesses=0", *sys.argv[1:]]))
