# The project's commands. `make` lists them. Paths are relative, so a checkout may lie anywhere, spaces included.
.DEFAULT_GOAL := help
.PHONY: help install install-dev demo demo-clean up test bench check format docs pins

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := .venv/installed
INSTALLED_DEV := .venv/installed-dev

# Install what a lock in requirements/ names, each file checked against its hash, and count on a terminal. With all of it
# locked there is nothing to resolve. Compiling every module would take 26 s; those that are used are when first imported.
define install_lock
@echo "Installing requirements/$(1).txt into .venv"
@{ $(PIP) install --no-deps --no-compile --require-hashes --requirement requirements/$(1).txt \
	&& echo Done || echo Failed; } | while read -r word package rest; do \
		case $$word in \
			Collecting) n=$$((n + 1)); line="$$n $$package" ;; \
			Installing) line="putting $$n packages in place" ;; \
			Done) line= ;; \
			Failed) exit 1 ;; \
			*) continue ;; \
		esac; \
		if [ -t 1 ]; then printf '\r\033[K%s' "$$line"; fi; \
	done
endef

help: ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with the project and what running it takes.

$(INSTALLED): setup.py requirements/install.txt requirements/run.txt
	@'$(PYTHON)' -c 'import sys; sys.exit(not (3, 11, 2) <= sys.version_info[:3] < (3, 14) and "Python 3.11.2 to 3.13 is needed, and $(PYTHON) is %d.%d.%d: make PYTHON=/path/to/python3.12 ..." % sys.version_info[:3])'
	@'$(PYTHON)' -m venv .venv
	$(call install_lock,install)
	$(call install_lock,run)
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)

install-dev: $(INSTALLED_DEV) ## Add to .venv what testing, checking and documenting it takes.

$(INSTALLED_DEV): $(INSTALLED) requirements/dev.txt
	$(call install_lock,dev)
	@touch $(INSTALLED_DEV)

demo: install ## Load five years of real bars into a real PostgreSQL, with nothing to set up.
	@$(BIN)/market-pipeline demo

demo-clean: ## Stop what the demo started and remove everything it made, .venv included; FORCE=1 for your own data too.
	@if [ -x $(BIN)/market-pipeline ]; then $(BIN)/market-pipeline demo --clean $(if $(FORCE),--force); fi
	rm -rf .venv .tmp_dagster_home_* ./*.egg-info build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

up: install ## Start everything, database to API, until Ctrl-C; UP="--sandbox" for no key.
	@$(BIN)/market-pipeline up $(UP)

test: install-dev ## Run the whole test suite.
	@$(BIN)/python -m pytest --numprocesses 2

bench: install-dev ## Measure everything beside its peers, in under 20 minutes, and write docs/performance.md.
	$(call install_lock,benchmarks)
	@$(BIN)/python -m benchmarks

check: install-dev ## Check formatting, lint, types and who imports whom.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev ## Format the code and fix what lint can fix.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install-dev ## Build the documentation as a site, in build/docs.
	$(BIN)/python docs/picture.py > docs/architecture.svg.partial && mv docs/architecture.svg.partial docs/architecture.svg
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder html docs build/docs
	@echo "Open build/docs/index.html"

pins: ## Renew the locks in requirements/ as setup.py says; UV=--upgrade for the newest versions.
	'$(PYTHON)' -m venv build/pins
	build/pins/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	build/pins/bin/python requirements/renew.py $(UV)
