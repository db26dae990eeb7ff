# The project's commands. `make` lists them. Paths are relative, so a checkout may lie anywhere, spaces included.
.DEFAULT_GOAL := help
.PHONY: help install demo demo-clean up test bench check format docs

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

help: ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with the pinned dependencies and the project.

$(INSTALLED): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(INSTALLED)

demo: install ## Load five years of real bars into a real PostgreSQL, with nothing to set up.
	@$(BIN)/market-pipeline demo

demo-clean: ## Stop what the demo started and remove everything it made, .venv included.
	@if [ -x $(BIN)/market-pipeline ]; then $(BIN)/market-pipeline demo --clean; fi
	rm -rf .venv .tmp_dagster_home_* ./*.egg-info build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

up: install ## Start everything, database to API, until Ctrl-C; UP="--sandbox" for no key.
	@$(BIN)/market-pipeline up $(UP)

test: install ## Run the whole test suite.
	@$(BIN)/python -m pytest --numprocesses 2

bench: install ## Measure everything beside its peers, in under 20 minutes, and write docs/performance.md.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[benchmarks]'
	@$(BIN)/python -m benchmarks

check: install ## Check formatting, lint, types and who imports whom.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Format the code and mend what lint can mend.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install ## Build the documentation as a site, in build/docs.
	$(BIN)/python docs/picture.py > docs/architecture.svg.partial && mv docs/architecture.svg.partial docs/architecture.svg
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder html docs build/docs
	@echo "Open build/docs/index.html"
