"""Runs the tests it is given, for Bazel."""

import sys

import pytest

sys.exit(pytest.main(sys.argv[1:]))
