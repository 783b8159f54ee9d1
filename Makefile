# make up        the service on this machine: database, API, worker, a sample run (PORT=8123 for another port)
# make test      linters, types, contracts and every test
# make fast      the tests that take no more than a few seconds each
# make install   only prepare .venv
# make lint      what `make test` checks before it runs tests
# make lock      write requirements.lock anew from pyproject.toml (needs uv)

PORT ?= 8000
VENV ?= .venv
TESTS ?= tests
# Outages and kills mostly wait, so more processes than cores.
TEST_PROCESSES ?= 4

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: up test fast install lint lock

up: $(STAMP)
	@$(BIN)/agentic up --port $(PORT)

test: lint
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

fast: $(STAMP)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal -m "not slow" $(TESTS)

install: $(STAMP)
	@:

lint: $(STAMP)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@said=$$($(BIN)/lint-imports --no-cache) || { echo "$$said"; exit 1; }
	@$(BIN)/python ci/lock.py --check

lock: $(STAMP)
	@$(BIN)/python ci/lock.py

# Scripts in an environment hold its absolute path: one that was copied or moved is made again.
ifneq ($(shell cat $(VENV)/.made-for 2>/dev/null),$(CURDIR)/$(VENV))
$(STAMP): remake
.PHONY: remake
remake: ;
endif

$(STAMP): requirements.lock pyproject.toml ci/prepare
	@ci/prepare $(VENV)
	@printf '%s' '$(CURDIR)/$(VENV)' > $(VENV)/.made-for
	@touch $@
