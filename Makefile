# One entry for everything a developer or a newcomer does; `make` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
TARGET ?= emulated
SETTINGS ?=
# Tests spend half of their time waiting: twice the cores that they are meant for.
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup demo test hil check soak nightly bench firmware lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(READY) ## make the virtual environment, pinned by hash

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Wattness needs Python 3.11 or later; name one: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: install your system's python3-venv package."; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## meter a recorded day on emulated boards, up to the paid report (ARGS=--once ends by itself)
	@$(BIN)/python -m demo $(ARGS)

test: $(READY) ## all tests that a change must pass
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not soak" $(ARGS)

hil: $(READY) ## the scenarios on a board; a real one: make hil TARGET=/dev/ttyUSB0 SETTINGS=board.json
	$(BIN)/python -m pytest hil_tests -m "not soak" --target $(TARGET) $(if $(SETTINGS),--target-settings $(SETTINGS)) $(ARGS)

soak: $(READY) ## the long loops: random kills, power cuts, fixed-heap hours
	$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

nightly: $(READY) ## every parser of boards and of what they send under 50,000 hostile inputs
	PARSER_EXAMPLES=50000 $(BIN)/python -m pytest firmware/tests gateway/tests/test_gateway_*.py -k test_any_ -n 2 --timeout 7200 $(ARGS)

bench: $(READY) ## ratios against a ceiling measured in the same run, as JSON
	@$(BIN)/python -m bench $(ARGS)

check: $(READY) ## formatting, lint, types, import arrows, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python firmware/stubs.py
	$(BIN)/mypy --config-file firmware/mypy.ini
	$(BIN)/lint-imports
	$(BIN)/codespell

firmware: $(READY) ## the board's program in .artefacts: an image for a ROM partition, and files for boards without one
	@mkdir -p .artefacts
	@$(BIN)/python -m wattprogram rom .artefacts/wattness.romfs
	@$(BIN)/python -m wattprogram files .artefacts/board

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml

lock: ## pin every dependency by hash, and those alone that the gateway's image needs (wants uv)
	$(LOCK) --all-extras -o requirements.lock
	$(LOCK) --extra pkcs11 --constraint requirements.lock -o gateway/deploy/requirements.lock

clean: ## remove the environment and everything that was made
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .mpy_cache
