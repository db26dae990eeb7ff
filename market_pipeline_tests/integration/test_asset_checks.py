"""Asset checks as the UI shows them, after runs that succeed, fail, and flag bars."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from dagster import AssetCheckKey, DagsterInstance
from sqlalchemy import Engine, create_engine, text

from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.sessions import find_newest_ended_session, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import AssetCheckExecutionRecordStatus
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.run_launch import launch_range_run
from market_pipeline.orchestration.schedules import plan_night
from market_pipeline.quality.symbol_health import CHECKS
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import load_failure, query

AAPL, MSFT, NOSUCH = (Symbol.of(name, "stock") for name in ("AAPL", "MSFT", "NOSUCH"))


def results(instance: DagsterInstance, symbol: Symbol) -> Mapping[str, tuple[str, str, str]]:
    """Return the status, severity and description of each check, by its name."""
    keys = [AssetCheckKey(build_asset_key(symbol), name) for name in CHECKS]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    found = {}
    for key, record in latest.items():
        event = record.event.get_dagster_event() if record.event else None
        result = event.asset_check_evaluation_data if event else None
        assert record.status is not AssetCheckExecutionRecordStatus.PLANNED
        assert result is not None
        found[key.name] = (record.status.value, result.severity.value, result.description or "")
    return found


def run_backfill(
    settings: Settings, instance: DagsterInstance, warehouse: Engine, symbols: Sequence[Symbol], start: date, end: date
) -> None:
    [range_run] = plan_range_runs(symbols, start, end, datetime.now(UTC))
    launch_range_run(build_loading(settings), range_run, instance, warehouse)


def test_a_successful_night_leaves_every_check_green(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [MSFT])
    with running_sandbox(SandboxConfig()) as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        latest = find_newest_ended_session("XNYS", datetime.now(UTC))
        assert latest is not None
        [night] = plan_night(on_sandbox, [MSFT], latest)
        assert launch_range_run(build_loading(on_sandbox), night, instance, warehouse).success
    assert {name: status for name, (status, _, _) in results(instance, MSFT).items()} == dict.fromkeys(
        CHECKS, "SUCCEEDED"
    )


def test_a_crash_of_the_price_is_reported_and_a_symbol_that_fails_is_red_beside_it(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL, NOSUCH])
    with running_sandbox(SandboxConfig()) as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        run_backfill(on_sandbox, instance, warehouse, [AAPL, NOSUCH], date(2000, 9, 1), date(2000, 10, 6))
    status, severity, words = results(instance, AAPL)["unexplained_jumps"]
    assert (status, severity) == ("FAILED", "WARN")
    assert words.startswith("2000-09-29: unexplained_move: the close 25.75 is -51.9% from 53.5 on 2000-09-28")
    status, severity, words = results(instance, NOSUCH)["completeness"]
    assert (status, severity) == ("FAILED", "ERROR")
    assert "; 25 failed, " in words


def test_impossible_bars_are_reported(settings: Settings, instance: DagsterInstance, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    with running_sandbox(SandboxConfig(faults=("impossible_bars",))) as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        run_backfill(on_sandbox, instance, warehouse, [AAPL], date(2012, 10, 1), date(2012, 10, 26))
    status, severity, words = results(instance, AAPL)["impossible_bars"]
    assert (status, severity, words.split()[0]) == ("FAILED", "WARN", "3")


def test_a_range_of_partitions_leaves_one_row_a_check(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL])
    with running_sandbox(SandboxConfig()) as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        run_backfill(on_sandbox, instance, warehouse, [AAPL], date(2012, 10, 1), date(2012, 10, 26))
    url = instance.event_log_storage.postgres_url  # type: ignore[attr-defined]
    engine = create_engine(url)
    with engine.connect() as connection:
        rows: list[Any] = list(connection.execute(text("SELECT check_name, partition FROM asset_check_executions")))
    engine.dispose()
    assert sorted(tuple(row) for row in rows) == sorted((name, None) for name in CHECKS)


def test_checks_can_be_executed_without_loading_anything(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL])
    load_failure(warehouse, AAPL, list_sessions("XNYS", date(2024, 3, 4), date(2024, 3, 8)), "the vendor returned 500")
    with running_sandbox(SandboxConfig()) as base_url:
        definitions = build_loading(settings.model_copy(update={"polygon_base_url": base_url}))
        keys = [AssetCheckKey(build_asset_key(AAPL), name) for name in CHECKS]
        selection = dg.AssetSelection.checks(*keys)
        job = dg.define_asset_job("checks", selection=selection).resolve(
            asset_graph=definitions.get_repository_def().asset_graph
        )
        assert job.execute_in_process(instance=instance, resources=definitions.resources).success
    assert results(instance, AAPL)["completeness"][:2] == ("FAILED", "ERROR")
    assert query(warehouse, "SELECT count(*) AS n FROM market_data") == [{"n": 0}]
