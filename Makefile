# make up        the service on this machine: database, API, worker, a sample run (PORT=8123 for another port)
# make test      linters, types, contracts and every test
# make fast      the tests that take no more than a few seconds each
# make install   only prepare .venv
# make lint      what `make test` checks beside the tests: style, types, contracts, locks
# make lock      write requirements.lock anew from pyproject.toml (needs uv)

PORT ?= 8000
VENV ?= .venv
TESTS ?= tests
# One more than CI's cores, for outages and kills mostly wait. Each costs ten seconds of imports and servers of its own.
TEST_PROCESSES ?= 3

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: up test fast install lint quick lock
# Without bytecode every process compiles thousands of modules anew: the tests take twice as long, and so does `make up`.
unexport PYTHONDONTWRITEBYTECODE

up: $(STAMP)
	@$(BIN)/agentic up --port $(PORT)

# A file's tests share what its module starts, so they stay together; tests/conftest.py puts files that wait first.
PYTEST = $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

QUICK = $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check . && \
	{ contracts=$$($(BIN)/lint-imports --no-cache) || { echo "$$contracts"; false; }; } && $(BIN)/python ci/lock.py --check

# Types take a core for a minute: they are checked beside the rest and have the last word. Collecting once before the
# tests' processes do leaves them its bytecode: in a fresh clone each would compile the same at the same time.
test: $(STAMP)
	@said=$$(mktemp); $(BIN)/mypy >$$said 2>&1 & types=$$!; trap 'kill $$types 2>/dev/null' INT TERM; \
	{ $(QUICK); } || { kill $$types; rm -f $$said; exit 1; }; \
	$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1; $(PYTEST); tests=$$?; \
	wait $$types; typed=$$?; cat $$said; rm -f $$said; [ $$typed -eq 0 ] || exit $$typed; exit $$tests

fast: $(STAMP)
	@$(PYTEST) -m "not slow" $(TESTS)

install: $(STAMP)
	@:

lint: quick
	@$(BIN)/mypy

quick: $(STAMP)
	@$(QUICK)

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
