# The project's commands; `make` lists them. Paths are relative, so the path of a checkout may hold spaces.
.DEFAULT_GOAL := help
.PHONY: help install install-dev demo demo-market demo-clean up test test-fast coverage bench clients compatibility check format docs pictures release pins

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := .venv/installed
INSTALLED_DEV := .venv/installed-dev

# With this variable, which many containers have, each process would compile all that it imports: 11 s of CPU, not 3.
unexport PYTHONDONTWRITEBYTECODE

# Install the packages of a lock in requirements/, check each file against its hash, and count them on a terminal. Nothing
# has to be resolved. Compiling all modules would take 26 s, so each is compiled when it is first imported.
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

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install the project and its requirements into .venv.

$(INSTALLED): setup.py requirements/install.txt requirements/run.txt
	@'$(PYTHON)' -c 'import sys; sys.exit(not (3, 11, 2) <= sys.version_info[:3] < (3, 14) and "Python 3.11.2 to 3.13 is needed, and $(PYTHON) is %d.%d.%d: make PYTHON=/path/to/python3.12 ..." % sys.version_info[:3])'
	@'$(PYTHON)' -m venv .venv
	$(call install_lock,install)
	$(call install_lock,run)
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)

install-dev: $(INSTALLED_DEV) ## Add the requirements of tests, checks and documentation to .venv.

$(INSTALLED_DEV): $(INSTALLED) requirements/dev.txt
	$(call install_lock,dev)
	@touch $(INSTALLED_DEV)

demo: install ## Load five years of real bars into a real PostgreSQL; needs no setup.
	@$(BIN)/market-pipeline demo

demo-market: install ## Load a year of a generated market of 11,000 tickers, in a data folder of its own.
	@MARKET_PIPELINE_DATA_DIR='$(CURDIR)/.market_demo' $(BIN)/market-pipeline demo --market

demo-clean: ## Stop the demo's database and delete it and .venv; FORCE=1 deletes your own data too.
	@if [ -x $(BIN)/market-pipeline ]; then $(BIN)/market-pipeline demo --clean $(if $(FORCE),--force); fi
	rm -rf .venv .tmp_dagster_home_* ./*.egg-info build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

up: install ## Run everything, from the database to the API, until Ctrl-C; UP="--sandbox" needs no key.
	@$(BIN)/market-pipeline up $(UP)

# Half of a test's time is waiting, so two cores take four workers; each takes a file at a time, and shares its servers.
PYTEST := $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test: install-dev ## Run the whole test suite, in under 10 minutes on two cores.
	@$(PYTEST)

test-fast: install-dev ## Run the tests that need no database, in under 30 seconds.
	@$(BIN)/python -m pytest --numprocesses 2 market_pipeline_tests/unit

coverage: install-dev ## Run the whole test suite and show which lines no test runs; fails below the floor.
	@$(PYTEST) --cov --cov-report term:skip-covered

bench: install-dev ## Measure the project and its peers, in under 20 minutes, and write docs/performance.md.
	$(call install_lock,benchmarks)
	@$(BIN)/python -m benchmarks

clients: ## Install the JavaScript clients of the tests by npm, into build/clients; without them their tests are skipped.
	mkdir -p build/clients && cp market_pipeline_tests/data/javascript/package.json build/clients
	npm install --prefix build/clients --no-package-lock --no-audit --no-fund

compatibility: install-dev ## Test the storage with the oldest, pinned and newest Dagster; write docs/compatibility.md.
	@$(BIN)/python -m market_pipeline_tests.dagster_storage.compatibility

check: install-dev ## Check formatting, lint of Python, SQL and JavaScript, types and imports.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/oxlint market_pipeline/api/static
	$(BIN)/sqlfluff lint --disable-progress-bar market_pipeline/warehouse/sql dbt/models dbt/tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev ## Format the code and apply the fixes of lint.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install-dev ## Build the documentation as a site in build/docs.
	$(BIN)/python docs/picture.py > docs/architecture.svg.partial && mv docs/architecture.svg.partial docs/architecture.svg
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder html docs build/docs
	@echo "Open build/docs/index.html"

pictures: install-dev ## Photograph the page and Dagster for README.md, of the demo's bars; needs Chromium.
	@PYTHONPATH=. $(BIN)/python scripts/pictures.py

release: install-dev ## Build and check the files of a release; RELEASE=--draft before its date is set.
	@$(BIN)/python scripts/release.py $(RELEASE)

pins: ## Renew the locks in requirements/ from setup.py; UV=--upgrade for the newest versions.
	'$(PYTHON)' -m venv build/pins
	build/pins/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	build/pins/bin/python requirements/renew.py $(UV)
