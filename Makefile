# Everything a fresh machine needs goes into .venv.
#
#   make demo    trains, searches, converts and measures, on images in this folder
#   make test    checks the code, then runs the tests
#   make research  tests the experiments in research/
#   make docs    builds the site into docs/_build/html
#   make notebooks  runs the notebooks and keeps their outputs; ten minutes
#   make format  formats the code

PYTHON ?= python3
export TF_CPP_MIN_LOG_LEVEL ?= 3

BIN = .venv/bin
INSTALLED = .venv/installed
SOURCES = pyproject.toml keras_resizable_command.py $(shell find keras_resizable -type f -not -path '*/__pycache__/*')

.PHONY: demo test research docs notebooks format

demo: $(INSTALLED)
	$(BIN)/keras-resizable demo

# What is tested is what is installed: a wheel, not this folder.
test: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --pyargs tests keras_resizable

research: $(INSTALLED)
	$(BIN)/pytest research/tests

docs: $(INSTALLED)
	$(BIN)/sphinx-build --fail-on-warning --quiet -b html docs docs/_build/html

notebooks: $(INSTALLED)
	$(BIN)/jupyter execute --inplace docs/notebooks/*.ipynb

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(INSTALLED): $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	test -d .venv || $(PYTHON) -m venv .venv
	rm -rf build
	$(BIN)/python -m pip install --quiet '.[all,dev]'
	rm -rf build
	touch $@
