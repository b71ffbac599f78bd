# `make demo`, `make test`, `make check`, `make bench`: each works on a fresh machine
# that has Python 3.11+ and nothing else.
PYTHON ?= python3
DATA ?=
DEMO ?= demo
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check format bench clean

demo: .venv/run
	@bash tools/demo.sh "$(DATA)" "$(DEMO)"

test: .venv/dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/bench
	$(BIN)/python -m bench

clean:
	rm -rf .venv demo .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "nearfar needs Python 3.11 or newer; call make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# One stamp per set of packages; they are installed again when the lists change.
.venv/run: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/bench: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev,bench]'
	@touch $@
