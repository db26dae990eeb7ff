"""Loading of the definitions, done by every process of Dagster: modules that it must not import."""

import subprocess
import sys

import pytest
from sqlalchemy import Engine

from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL

SLOW = {"alembic", "dagster_dbt", "dbt", "exchange_calendars", "numpy", "pandas", "requests", "structlog", "tenacity"}
"""Modules that only runs need; with their imports, up to a second each."""

LOAD = """
import sys
from market_pipeline.definitions import defs
defs().get_repository_def()
print(*{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.usefixtures("dbt_manifest")
def test_modules_that_only_runs_need_are_not_imported(warehouse: Engine, environment: dict[str, str]) -> None:
    add_symbols(warehouse, [AAPL])
    ended = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    imported = set(ended.stdout.split())
    assert {"dagster", "market_pipeline", "sqlalchemy"} <= imported
    assert imported & SLOW == set()


def test_pandas_is_not_imported_by_commands_that_load() -> None:
    code = "import sys, market_pipeline.cli.runs, market_pipeline.orchestration.execution; print(*sys.modules)"
    imported = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "numpy" in imported
    assert "pandas" not in imported
