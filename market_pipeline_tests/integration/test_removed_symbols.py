"""Symbols that are removed after a backfill has selected them and before its run."""

from datetime import date

import pytest
from sqlalchemy import Engine

from market_pipeline.cli.runs import launch_runs
from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.integration.stored_bars import query

AAPL, IBM, BTC = Symbol.of("AAPL", "stock"), Symbol.of("IBM", "stock"), Symbol.of("BTC", "crypto")


def test_a_removed_symbol_fails_alone(
    settings: Settings, environment: dict[str, str], warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_symbols(warehouse, [AAPL, IBM, BTC])
    sessions = list_sessions("XNYS", date(2012, 10, 26), date(2012, 11, 2))
    selected = [RangeRun("XNYS", [AAPL, IBM], sessions), RangeRun("24/7", [BTC], [date(2014, 1, 1)])]
    for name in ("IBM", "BTC"):
        remove_symbol(warehouse, name)
    with running_sandbox(SandboxConfig()) as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        records = {
            record["symbol"]: record for record in launch_runs(on_sandbox, warehouse, selected, quiet=True).records
        }
    assert (records["AAPL"]["success"], records["AAPL"]["loaded"]) == (True, 4)
    for name in ("IBM", "BTC"):
        expected = f"{name} is no longer tracked: `market-pipeline symbols add {name}` tracks it again"
        assert records[name]["error"] == expected
    kept = query(warehouse, "SELECT symbol, success FROM backfill_history ORDER BY symbol")
    assert [tuple(row.values()) for row in kept] == [("AAPL", True), ("BTC", False), ("IBM", False)]
