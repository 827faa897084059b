# Everything a fresh machine needs goes into .venv.
#
#   make demo    trains, searches, converts and measures, on images in this folder
#   make test    checks the code, then runs the tests
#   make format  formats the code

PYTHON ?= python3
export TF_CPP_MIN_LOG_LEVEL ?= 3

BIN = .venv/bin
INSTALLED = .venv/installed

.PHONY: demo test format

demo: $(INSTALLED)
	$(BIN)/python train/demo.py

test: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	touch $@
