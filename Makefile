# `make demo`, `make test`, `make test-all`, `make check`, `make site`, `make bench`: each works on a
# fresh machine that has Python 3.11+ and nothing else.
#   make test      every module's laws, some minutes
#   make test-all  the same, then the slow tests: long trainings, two processes, exhaustive sweeps
#   make fuzz      10,000 damaged files and folders, some minutes at most
PYTHON ?= python3
DATA ?=
DEMO ?= demo
BIN := .venv/bin
# Three processes on two cores: tests wait for browsers, servers and other processes. A file is done
# by one; which are begun first, tests/conftest.py says.
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# Where a machine keeps Python from writing what it compiled, each of the thousand processes that
# tests start would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all check site fuzz format bench clean

demo: .venv/run
	@bash tools/demo.sh "$(DATA)" "$(DEMO)"

test: .venv/dev
	$(PYTEST) -m 'not slow'

# No test runs twice: `make test test-all` is `make test-all`.
test-all: test
	$(PYTEST) -m slow

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Docs as pages; built without network, from what .venv has. The notebook is run for it.
site: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html"

fuzz: .venv/dev
	$(BIN)/python -m tools.fuzz --cases 10000 --seed 0

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/bench
	$(BIN)/python -m bench

clean:
	rm -rf .venv demo site .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "nearfar needs Python 3.11 or newer; call make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# One stamp per set of packages; they are installed again when the lists change.
TORCH := PyTorch above all, 200 MB to fetch (some GB where it comes with CUDA); this takes minutes

.venv/run: .venv/bin/python pyproject.toml constraints.txt
	@bash tools/install.sh "NumPy, SciPy and matplotlib above all, 80 MB to fetch; this takes a minute" '.[report]'
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	@bash tools/install.sh "$(TORCH)" '.[dev]'
	@touch $@

.venv/docs: .venv/bin/python pyproject.toml constraints.txt
	@bash tools/install.sh "NumPy, SciPy and MkDocs above all; this takes a minute" '.[docs]'
	@touch $@

.venv/bench: .venv/bin/python pyproject.toml constraints.txt
	@bash tools/install.sh "$(TORCH)" '.[dev,bench]'
	@touch $@
