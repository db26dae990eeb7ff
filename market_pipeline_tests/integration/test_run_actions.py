"""Splits and dividends that a run of bars requests for its symbols: when, in how many requests, and their failures."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import requests
from dagster import DagsterInstance
from sqlalchemy import Engine, insert, text

from market_pipeline import corporate_action_requests
from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.corporate_action_requests import ActionsResult, RunActions, refresh_in_parts
from market_pipeline.operations.status import find_action_problems
from market_pipeline.orchestration import assets
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.run_launch import LaunchedRun, launch_range_run
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.corporate_action_refresh import (
    NEXT_STEP,
    SPLITS,
    TABLES,
    find_actions_behind,
    plan_refresh,
    plan_run_refresh,
)
from market_pipeline.warehouse.tables import corporate_action_inquiries
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.corporate_action_cases import SPLIT
from market_pipeline_tests.integration.polygon_cases import HURRY, client_of
from market_pipeline_tests.integration.stored_bars import load_frame, query, recorded
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

AAPL, IBM, MSFT = (Symbol.of(name, "stock") for name in ("AAPL", "IBM", "MSFT"))
BTC = Symbol.of("BTC", "crypto")
AROUND_THE_SPLIT = (date(2005, 2, 25), date(2005, 3, 1))  # AAPL, 2 for 1 on 2005-02-28
MONDAY_NOON = datetime(2024, 6, 3, 16, tzinfo=UTC)  # noon in New York


class Vendor:
    """A sandbox, the settings that name it, and the results that its runs report."""

    def __init__(self, settings: Settings, base_url: str) -> None:
        self.settings = settings.model_copy(update={"polygon_base_url": base_url})
        self.reported: list[ActionsResult] = []

    def load(self, instance: DagsterInstance, warehouse: Engine, symbols: Sequence[Symbol]) -> LaunchedRun:
        add_symbols(warehouse, symbols)
        [range_run] = plan_range_runs(symbols, *AROUND_THE_SPLIT, datetime.now(UTC))
        definitions = build_loading(self.settings, on_refreshed=self.reported.append)
        return launch_range_run(definitions, range_run, instance, warehouse)

    def requests_for_actions(self) -> dict[str, int]:
        stats = requests.get(f"{self.settings.polygon_base_url}/_sandbox/stats", timeout=10).json()
        return {kind: stats["by_path_kind"].get(kind, 0) for kind in ("splits", "dividends")}


@pytest.fixture
def vendor(settings: Settings) -> Iterator[Vendor]:
    with running_sandbox(SandboxConfig()) as base_url:
        yield Vendor(settings, base_url)


def known(warehouse: Engine) -> dict[str, list[str]]:
    found = query(warehouse, "SELECT kind, symbol FROM corporate_action_inquiries ORDER BY kind DESC, symbol")
    return {kind: [row["symbol"] for row in found if row["kind"] == kind] for kind in ("splits", "dividends")}


def held_splits(warehouse: Engine) -> list[tuple[str, str]]:
    found = query(warehouse, "SELECT symbol, execution_date::text AS day FROM splits ORDER BY symbol, execution_date")
    return [(row["symbol"], row["day"]) for row in found]


def test_a_first_load_brings_splits_and_dividends_in_two_requests(
    vendor: Vendor, instance: DagsterInstance, warehouse: Engine
) -> None:
    launched = vendor.load(instance, warehouse, [AAPL, IBM, MSFT])
    assert launched.success
    assert vendor.requests_for_actions() == {"splits": 1, "dividends": 1}
    symbols = ["AAPL", "IBM", "MSFT"]
    assert known(warehouse) == {"splits": symbols, "dividends": symbols}
    assert held_splits(warehouse) == [("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18")]
    assert query(warehouse, "SELECT date FROM market_data WHERE NOT validated") == [], "the halved price is explained"
    for kind, loaded in (("splits", 3), ("dividends", None)):
        [record] = instance.fetch_materializations(dg.AssetKey([kind]), limit=5).records
        event = record.asset_materialization
        assert event is not None
        assert record.run_id == launched.run_id
        metadata: dict[str, Any] = {name: entry.value for name, entry in event.metadata.items()}
        assert (metadata["requests"], metadata["symbols_asked_in_full"]) == (1, 3)
        assert metadata["loaded"] == (loaded or metadata["dagster/row_count"]) > 0


def test_a_second_load_of_the_day_requests_only_unknown_actions(
    vendor: Vendor, instance: DagsterInstance, warehouse: Engine
) -> None:
    vendor.load(instance, warehouse, [AAPL])
    vendor.load(instance, warehouse, [AAPL])
    assert vendor.requests_for_actions() == {"splits": 1, "dividends": 1}
    vendor.load(instance, warehouse, [AAPL, MSFT])
    assert vendor.requests_for_actions() == {"splits": 2, "dividends": 2}
    with warehouse.begin() as connection:
        connection.execute(text("DELETE FROM corporate_action_inquiries WHERE kind = 'dividends'"))
    vendor.load(instance, warehouse, [AAPL])  # all of its bars are unchanged
    assert vendor.requests_for_actions() == {"splits": 2, "dividends": 3}


def test_the_steps_of_a_run_share_its_requests(
    vendor: Vendor, instance: DagsterInstance, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "SYMBOLS_PER_STEP", 1)
    assert vendor.load(instance, warehouse, [AAPL, IBM, MSFT]).success
    assert vendor.requests_for_actions() == {"splits": 1, "dividends": 1}
    assert [result.kind for result in vendor.reported] == ["splits", "dividends"]


def test_failed_actions_cost_no_bars_and_the_next_run_requests_them_again(
    settings: Settings, vendor: Vendor, instance: DagsterInstance, warehouse: Engine
) -> None:
    with running_sandbox(SandboxConfig(faults=("plan403@splits",))) as base_url:
        failing = Vendor(settings, base_url)
        launched = failing.load(instance, warehouse, [AAPL, MSFT])
    assert launched.success
    failed, fine = failing.reported
    assert fine.error is None
    assert failed.requests == 2, "of the newer endpoint and of the older one"
    assert str(failed.failure).startswith("the splits of AAPL, MSFT could not be fetched (splits of AAPL, MSFT ")
    assert "change the plan" in str(failed.failure)
    assert str(failed.failure).endswith(NEXT_STEP)
    logged = [entry.user_message for entry in instance.all_logs(launched.run_id) if entry.level == 40]
    assert logged == [failed.failure]
    records = query(warehouse, "SELECT symbol, loaded, success, notes FROM backfill_history ORDER BY symbol")
    assert records == [
        {"symbol": name, "loaded": 3, "success": True, "notes": failed.note} for name in ("AAPL", "MSFT")
    ]
    assert known(warehouse) == {"splits": [], "dividends": ["AAPL", "MSFT"]}
    behind = find_actions_behind(warehouse, datetime.now(UTC))
    assert [(each.kind, each.symbol, each.never) for each in behind] == [
        ("splits", "AAPL", True), ("splits", "MSFT", True),
    ]  # fmt: skip
    vendor.load(instance, warehouse, [AAPL, MSFT])
    assert vendor.requests_for_actions() == {"splits": 1, "dividends": 0}
    assert find_actions_behind(warehouse, datetime.now(UTC)) == []


FAILURES: dict[str, tuple[list[Reply], str]] = {
    "a server error": ([Reply(b"", 500)] * 3, "the vendor returned 500"),
    "a timeout": ([Reply(b"{" * 10, drip_seconds=1.0)] * 3, "no response from"),
    "a plan without them": ([Reply({"status": "NOT_AUTHORIZED", "message": "no"}, 403)] * 2, "change the plan"),
    "no list": ([Reply({"status": "OK", "results": {"AAPL": 1}})], "results"),
    "no JSON": ([Reply(b"<html>")], "the response is not JSON"),
    "an unknown key": ([Reply({"status": "ERROR", "error": "Unknown API Key"}, 401)], "Check POLYGON_API_KEY"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_is_a_result_with_its_reason(warehouse: Engine, failure: str) -> None:
    add_symbols(warehouse, [AAPL])
    with warehouse.begin() as connection:
        connection.execute(insert(corporate_action_inquiries), [inquiry("dividends", datetime.now(UTC))])
    replies, reason = FAILURES[failure]
    hurried = replace(HURRY, read=0.3, whole_response=0.5)
    with scripted_vendor(*replies) as scripted, client_of(scripted, retry_policy=hurried) as client:
        actions = RunActions(client, warehouse, [AAPL, BTC], run_id="run-1", scheduled=False)
        [result] = actions.results()
        actions.close()
    assert reason in str(result.error)
    assert (result.stored, result.requests) == (None, len(replies))
    assert known(warehouse)["splits"] == []


def inquiry(kind: str, at: datetime, symbol: str = "AAPL") -> dict[str, Any]:
    return {"kind": kind, "symbol": symbol, "asked_at": at, "history_asked_at": at}


def test_actions_stored_before_a_failure_stay(warehouse: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corporate_action_requests, "TICKERS_PER_REQUEST", 2)
    symbols = [Symbol.of(name, "stock") for name in ("A", "B", "C", "D", "E", "F")]
    add_symbols(warehouse, symbols)
    none, one = [Reply({"status": "OK", "results": found}) for found in ([], [{**SPLIT, "ticker": "C"}])]
    broken = Reply({"status": "ERROR", "error": "Unknown API Key"}, 401)
    with scripted_vendor(none, one, broken) as scripted, client_of(scripted) as client:
        plan = plan_refresh(warehouse, SPLITS, symbols, MONDAY_NOON)
        done, failed = refresh_in_parts(client, warehouse, SPLITS, plan, symbols, run_id="run-1")
    assert (done.plan.symbols, done.requests) == (["A", "B", "C", "D"], 2)
    assert done.stored is not None
    assert (done.stored.loaded, done.stored.held) == (1, 1)
    assert (failed.plan.symbols, failed.requests) == (["E", "F"], 1)
    assert known(warehouse)["splits"] == ["A", "B", "C", "D"]


def test_loads_can_wait_for_the_splits(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, BTC])
    none = Reply({"status": "OK", "results": []})
    with scripted_vendor(none, none) as scripted, client_of(scripted) as client:
        actions = RunActions(client, warehouse, [AAPL], run_id="run-1", scheduled=False)
        actions.wait_for_splits()
        assert known(warehouse)["splits"] == ["AAPL"]
        actions.results()
        actions.close()
        coins = RunActions(client, warehouse, [BTC], run_id="run-1", scheduled=False)
        coins.wait_for_splits()
        assert coins.results() == []


# --- when they are due


def find_due(warehouse: Engine, last: datetime, *, scheduled: bool) -> list[str]:
    add_symbols(warehouse, [AAPL])
    with warehouse.begin() as connection:
        connection.execute(text("DELETE FROM corporate_action_inquiries"))
        connection.execute(insert(corporate_action_inquiries), [inquiry("splits", last)])
    return plan_run_refresh(warehouse, SPLITS, [AAPL, BTC], MONDAY_NOON, scheduled=scheduled).symbols


def test_a_symbol_is_due_once_on_each_date_of_new_york(warehouse: Engine) -> None:
    midnight = datetime(2024, 6, 3, 4, tzinfo=UTC)
    assert find_due(warehouse, midnight, scheduled=False) == []
    assert find_due(warehouse, midnight - timedelta(seconds=1), scheduled=False) == ["AAPL"]


def test_in_a_nightly_run_it_is_due_only_after_two_nights_without_a_refresh(warehouse: Engine) -> None:
    assert find_due(warehouse, MONDAY_NOON - timedelta(days=2), scheduled=True) == []
    assert find_due(warehouse, MONDAY_NOON - timedelta(days=2, seconds=1), scheduled=True) == ["AAPL"]


def test_symbols_never_requested_are_due_and_crypto_never_is(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, BTC])
    for scheduled in (True, False):
        for actions in TABLES:
            plan = plan_run_refresh(warehouse, actions, [AAPL, BTC], MONDAY_NOON, scheduled=scheduled)
            assert plan.in_full == ("AAPL",)


# --- in status


def test_status_names_unknown_actions_and_since_when(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, IBM, MSFT, BTC])
    now = datetime.now(UTC)
    assert find_actions_behind(warehouse, now) == [], "without bars there is nothing to adjust"
    for symbol in (AAPL, IBM, MSFT):
        load_frame(warehouse, symbol, recorded(symbol.name, *AROUND_THE_SPLIT))
    fresh, late = now - timedelta(days=1), datetime(2024, 6, 3, 2, 5, tzinfo=UTC)
    with warehouse.begin() as connection:
        rows = [inquiry("splits", late, "IBM"), inquiry("splits", fresh, "MSFT"), inquiry("dividends", late, "IBM")]
        connection.execute(insert(corporate_action_inquiries), rows)
    [loaded] = query(warehouse, "SELECT min(backfill_timestamp) AS at FROM backfill_history WHERE symbol = 'AAPL'")
    problems = find_action_problems(find_actions_behind(warehouse, now))
    command = "run `market-pipeline backfill --missing`"
    assert problems == [
        f"the splits and dividends of IBM were last fetched on 2024-06-03 02:05 UTC: {command}",
        "the splits and dividends of AAPL have never been fetched, and there are bars since "
        f"{loaded['at']:%Y-%m-%d %H:%M} UTC: {command}",
        "the dividends of MSFT have never been fetched, and there are bars since "
        f"{loaded['at']:%Y-%m-%d %H:%M} UTC: {command}",
    ]
