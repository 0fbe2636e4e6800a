# Both of the first two commands do all the set-up, on a fresh machine with Python 3.11 or later.
#   make demo    the whole line on a bundled video, in a minute
#   make test    the whole test suite

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINS := --constraint constraints.txt

.PHONY: demo test lint types coverage check-truth check-accuracy bench camera-motion install clean

demo: $(VENV)/.installed
	$(BIN)/streamcls demo

test: $(VENV)/.installed-dev
	$(BIN)/pytest -m "not slow"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

coverage: $(VENV)/.installed-dev
	$(BIN)/pytest -m "not slow" --cov --cov-report=term-missing:skip-covered

install: $(VENV)/.installed

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "streamcls needs Python 3.11 or later; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing pinned dependencies into $(VENV) (a few minutes the first time)"
	$(PIP) install $(PINS) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing pinned dependencies into $(VENV) (a few minutes the first time)"
	$(PIP) install $(PINS) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
