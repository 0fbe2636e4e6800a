# Both of the first two commands do all the set-up, on a fresh machine with Python 3.11 or later.
#   make demo    the whole line on a bundled video, in a minute
#   make test    the whole test suite

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINS := --constraint constraints.txt

PHOTOS := tests/data/photos

.PHONY: demo test test-gpu lint types coverage check-truth check-accuracy check-delivery check-network check-newcomer fuzz soak bench bench-delivery bench-isolation bench-loading bench-learning bench-gpu bench-reuse bench-fast bench-page screenshots session check-resume camera-motion sample install install-service uninstall-service clean

demo: $(VENV)/.installed
	$(BIN)/streamcls demo

# Files side by side: most tests wait for a clock, a camera or a socket most of the time.
test: $(VENV)/.installed-dev
	$(BIN)/pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

# What needs a CUDA device; elsewhere `make test` skips it and says so.
test-gpu: $(VENV)/.installed-dev
	STREAMCLS_REQUIRE=gpu $(BIN)/pytest -m gpu

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

coverage: $(VENV)/.installed-dev
	$(BIN)/pytest -m "not slow" --cov --cov-report=term-missing:skip-covered

# Latency of four cameras in real time, from the daemon's own histogram.
bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.latency

# What the journal costs: burst rate, CPU at a steady rate, latency, each against none.
bench-delivery: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.delivery

# 100,000 events to consumers that stop, join late and crash; 100 kills of the daemon; the hostile.
check-delivery: $(VENV)/.installed-dev
	$(BIN)/pytest tests/delivery -m "slow or not slow" -rP

# CASES mutated inputs for each door: configuration, wire, sockets, model files, videos.
CASES ?= 2000
fuzz: $(VENV)/.installed-dev
	$(BIN)/pytest tests/fuzz --cases $(CASES)

# Loss, delay and cuts between camera and daemon, in network namespaces. Needs root and iproute2.
check-network: $(VENV)/.installed-dev
	$(BIN)/pytest tests/network -m "slow or not slow" -rP

# Twelve streams that fail in every way for MINUTES, with figures and a plot in OUT.
MINUTES ?= 15
OUT ?= soak
soak: $(VENV)/.installed-soak
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --out $(OUT)

# Videos of known camera motion through the whole line, as files and as RTSP cameras: event F1.
check-truth: $(VENV)/.installed-dev
	$(BIN)/pytest tests/test_truth.py -rP

# What a process per stream costs: CPU and memory, against threads.
bench-isolation: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.isolation

# Clips per second into training, against pytorchvideo's way and bare decoding.
bench-loading: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.loading

# What a GPU is kept busy with, from pictures to predictions; without one it says so and ends with 2.
bench-gpu: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.gpu

# slow_r50 and c2d_r50 with and without what windows share, window by window.
bench-reuse: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.reuse
	$(BIN)/python -m tests.benchmarks.reuse --network c2d_r50

# Capacity, cameras, floor, stages, memory and a plot, as JSON in OUT. ROBOFLOW: a Python with its
# package `inference`. Each also runs alone: python -m tests.benchmarks.capacity --help
bench-fast: FAST_OUT = $(if $(filter soak,$(OUT)),fast,$(OUT))
bench-fast: $(VENV)/.installed-soak
	$(BIN)/python -m tests.benchmarks.fast --out $(FAST_OUT) $(if $(ROBOFLOW),--roboflow $(ROBOFLOW))

# What the live page costs while nobody looks, and while two do.
bench-page: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.page

# Pictures of the live page, of a real daemon: docs/pictures. Needs Chromium.
screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m tests.observe.screenshots

# What finetuning learns from real footage, against one frame of each clip. Needs apt-get; minutes.
bench-learning: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks.learning --out $(if $(filter soak,$(OUT)),learning,$(OUT))

# A training killed three times, against one that was not.
check-resume: $(VENV)/.installed-dev
	$(BIN)/pytest tests/finetune/training/test_going_on.py -m "slow or not slow" -rP

# The bundled model on clips filmed over photographs that were never used in training.
check-accuracy: $(VENV)/.installed-dev
	$(BIN)/python -m streamcls.finetune.camera_motion evaluate --model camera-motion --held-out $(PHOTOS)

# Trains the bundled model again. Needs apt-get, for the packages that hold the photographs.
camera-motion: $(VENV)/.installed-dev
	$(BIN)/python -m streamcls.finetune.camera_motion train --out streamcls/models/camera_motion.safetensors

# Films the bundled demonstration again.
sample: $(VENV)/.installed-dev
	$(BIN)/python -m streamcls.finetune.camera_motion sample --photo $(PHOTOS)/aitzgorri.jpg --out streamcls/data/sample.mp4

# Records the demonstration on a terminal, for the README.
session: $(VENV)/.installed
	$(BIN)/python -m tests.session --out docs/pictures/demo.svg

# A fresh clone to its first label, and to a finetuned model of one's own served, with the times.
check-newcomer:
	PYTHON=$(PYTHON) tests/newcomer.sh

install: $(VENV)/.installed

# As root: /opt/streamcls, /etc/streamcls and the systemd units. Removing leaves settings and events.
install-service:
	PYTHON=$(PYTHON) systemd/install.sh

uninstall-service:
	systemd/install.sh uninstall

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "streamcls needs Python 3.11 or later; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "cannot make $(VENV); on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing pinned dependencies into $(VENV) (a few minutes the first time)"
	$(PIP) install $(PINS) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing pinned dependencies into $(VENV) (a few minutes the first time)"
	$(PIP) install $(PINS) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-soak: $(VENV)/.installed-dev
	$(PIP) install $(PINS) --editable '.[dev,soak]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
