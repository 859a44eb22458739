# Vedette's commands; `make help` lists them. All set-up is done by the targets themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help check test

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/ready: pyproject.toml requirements.txt
	@echo "making $(VENV) (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

check: $(VENV)/ready ## style, types, import contracts, unit tests (under a minute)
	@$(BIN)/ruff format --check --quiet agent tests
	@$(BIN)/ruff check --quiet agent tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 6
	@$(BIN)/pytest -q tests/unit tests/playbook

test: check ## everything this machine can run; what it cannot is skipped with its reason
	@$(BIN)/pytest -q tests
