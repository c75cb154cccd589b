# make repro   run the whole experiment of params.yaml        make test   run the tests
# make report  write its report, report/index.html            make bench  measure speed and statistics
# make app     serve the models at http://127.0.0.1:7860
# Each sets up the environment first; the README has the same commands without make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)

.PHONY: help setup repro report app test lint lock bench picture

help:
	@sed -n '1,/^$$/s/^# //p' Makefile

setup: .venv/ready

# uv is used only because it installs faster: requirements.lock is an ordinary pip file with hashes.
.venv/ready: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or later is needed, received " + sys.version.split()[0] + "; run: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv==0.13.8
	@echo "Installing the packages of requirements.lock: a minute or two"
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch .venv/ready

repro: setup
	@chest-transfer mend --quiet
	dvc repro
	@python -m chest_transfer.reporting.score_table

report: setup
	chest-transfer report

app: setup
	chest-transfer app

test: setup
	python -m pytest

lint: setup
	ruff check .
	ruff format --check .

# Run this after changing the dependencies in pyproject.toml.
lock: setup
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-header --no-annotate pyproject.toml -o requirements.lock

bench: setup
	python -m bench.preprocessing
	python -m bench.phantoms
	python -m bench.statistics
	python -m bench.training

picture: setup
	python -m docs.first_run
	python -m docs.phantoms
	python -m docs.report
	python -m docs.app
