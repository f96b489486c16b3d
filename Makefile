# make demo    a small shop under a real server; SERVE=1 leaves it up
# make test    format, lint, types and all tests
# make bench   the tables of benchmarks/README.md
# make unit    the fast tests only
# make test-hosts  the hosts inside the vendors' own runtimes
# make test-soak   servers killed with -9, fifty times over

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Real servers as subprocesses.
SLOW := tests/servers tests/frameworks tests/triggers tests/schedules tests/durable tests/engines \
	tests/hosts/test_aws_lambda.py \
	tests/hosts/test_cloud_run.py tests/hosts/test_cloud_functions.py tests/hosts/test_recipes.py \
	tests/hosts/test_cloudflare_worker.py tests/hosts/test_cloudflare_recipe.py
BENCH_STAMP := $(VENV)/.installed-bench

.PHONY: demo test unit test-hosts runtimes test-soak check bench clean

demo: $(VENV)/.installed-demo
	$(BIN)/python -m demo $(if $(SERVE),--serve)

test: check $(STAMP) runtimes
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest tests $(SLOW:%=--ignore=%) -n 3
	$(BIN)/python -m pytest $(SLOW) -n 4
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

unit: $(STAMP)
	$(BIN)/python -m pytest tests $(SLOW:%=--ignore=%) -n 3

test-hosts: $(STAMP) runtimes
	$(BIN)/python -m pytest tests/hosts -n 2

test-soak: $(STAMP)
	AFTERWORK_SOAK=50 $(BIN)/python -m pytest tests/durable/test_kill.py -n 2

# Vendors' runtimes and Pyodide, once into the temporary directory: here nothing limits the time.
runtimes: $(STAMP)
	$(BIN)/python -m tests.hosts.runtimes

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --warnings

bench: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed on PATH" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

$(VENV)/.installed-demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e . uvicorn httpx starlette
	touch $@

$(STAMP): $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[oidc,opentelemetry,postgresql,redis,sentry,testing]' --group test --group check
	touch $@ $(VENV)/.installed-demo

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install -q --group bench
	touch $@

clean:
	rm -rf $(VENV) .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
