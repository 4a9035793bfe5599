# The two commands of the README, and what a developer needs.
PYTHON ?= python3
SOURCE ?= yahoo
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DASHBOARDS := infra/grafana

.PHONY: up test faults check dashboards lock clean

up: $(READY) ## start the whole platform in front; Ctrl-C stops it (SOURCE=replay, ARGS=--once)
	@$(BIN)/stocks up --source $(SOURCE) $(ARGS)

test: $(READY) ## every test, against real servers that the tests start themselves
	$(BIN)/python -m pytest $(ARGS)

faults: $(READY) ## the long runs that kill processes
	$(BIN)/python -m pytest -m faults $(ARGS)

check: $(READY) ## format, lint, types, the imports between packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

dashboards: $(DASHBOARDS)/check/node_modules/.package-lock.json ## the dashboards by Grafana's own code; needs Node 20
	node $(DASHBOARDS)/check/check.mjs $(DASHBOARDS)/dashboards/*.json

$(DASHBOARDS)/check/node_modules/.package-lock.json: $(DASHBOARDS)/check/package-lock.json
	npm ci --prefix $(DASHBOARDS)/check
	@touch $@

lock: $(READY) ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-strip-extras \
	  --python-version 3.11 --extra dev --extra replay --custom-compile-command "make lock" \
	  pyproject.toml -o requirements.lock --upgrade

clean: ## remove the Python environment; data stays in STOCKS_HOME
	rm -rf $(VENV)

# uv installs the lock three times faster than pip; every file is checked against its hash.
$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; this is $$($(BIN)/python -V). Try: rm -rf $(VENV) && make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "installing the Python packages, checked against their hashes: a minute or so …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	@touch $@
