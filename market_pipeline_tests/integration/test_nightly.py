"""Nights, one after another on the test's own clock: the schedules' requests, and the gaps after an outage."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
import requests
from dagster import DagsterInstance
from sqlalchemy import Engine

from market_pipeline.api.server import running_api
from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.sessions import find_newest_ended_session, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.run_launch import launch_range_run, open_instance
from market_pipeline.orchestration.schedules import plan_night
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.embedded import Server
from market_pipeline.warehouse.tracked_symbols import add_symbols, list_active_symbols
from market_pipeline_tests.integration.api_cases import environment_of
from market_pipeline_tests.integration.mart_cases import database, settings_of
from market_pipeline_tests.integration.stored_bars import load_failure, query

SYMBOLS = [Symbol.of(name, "stock") for name in ("AAPL", "MSFT", "NVDA")]
FIRST_NIGHT, LAST_NIGHT = date(2024, 10, 8), date(2024, 10, 23)
YEAR = 260
"""The most sessions that a night reaches back, all of them for a symbol never requested."""
VALUES = "symbol, date, time, open, high, low, close, volume, vwap, transactions, flags, validation_notes, source"


def at_two(night: date) -> datetime:
    return datetime.combine(night, time(2), UTC)


def nights(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def run_nights(
    settings: Settings,
    instance: DagsterInstance,
    warehouse: Engine,
    chosen: Sequence[date],
    *,
    symbols: Sequence[Symbol] = SYMBOLS,
    faults: tuple[str, ...] = (),
) -> list[RangeRun]:
    """Run these nights against a vendor that corrects each session's volume for a day; return their runs."""
    done: list[RangeRun] = []
    for night in chosen:
        config = SandboxConfig(now=at_two(night), revisions=True, faults=faults)
        latest = find_newest_ended_session("XNYS", at_two(night))
        assert latest is not None
        with running_sandbox(config) as base_url:
            on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
            definitions = build_loading(on_sandbox)
            for run in plan_night(on_sandbox, symbols, latest):
                launch_range_run(definitions, run, instance, warehouse)
                done.append(run)
    return done


def content(warehouse: Engine) -> list[Mapping[str, Any]]:
    return query(warehouse, f"SELECT {VALUES} FROM market_data ORDER BY symbol, date")


@pytest.fixture(scope="module")
def six_nights(server: Server, dagster_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a warehouse after the first six nights, which are the same in several tests; Dagster's is beside it."""
    name = "six_nights"
    with (
        database(server, name) as warehouse,
        database(server, f"{name}_dagster", template=dagster_template),
    ):
        settings = settings_of(warehouse, tmp_path_factory.mktemp(name))
        add_symbols(warehouse, SYMBOLS)
        with environment_of(settings), open_instance(settings) as instance:
            run_nights(settings, instance, warehouse, nights(FIRST_NIGHT, FIRST_NIGHT + timedelta(days=5)))
        query(
            warehouse,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name",
            name=f"{name}_dagster",
        )
        warehouse.dispose()
        yield name


@dataclass(frozen=True)
class Later:
    """A warehouse after the first six nights, and Dagster's instance."""

    settings: Settings
    instance: DagsterInstance
    warehouse: Engine

    def run_nights(self, chosen: Sequence[date], *, faults: tuple[str, ...] = ()) -> list[RangeRun]:
        """Run these nights, and return their runs."""
        return run_nights(self.settings, self.instance, self.warehouse, chosen, faults=faults)

    def content(self) -> list[Mapping[str, Any]]:
        """Return all bars."""
        return content(self.warehouse)


@contextmanager
def copied(server: Server, template: str, folder: Path) -> Iterator[Later]:
    """Copy the warehouse and Dagster's database after the first six nights."""
    name = f"later_{uuid4().hex}"
    with (
        database(server, name, template=template) as warehouse,
        database(server, f"{name}_dagster", template=f"{template}_dagster"),
    ):
        settings = settings_of(warehouse, folder)
        with environment_of(settings), open_instance(settings) as instance:
            yield Later(settings, instance, warehouse)


@pytest.fixture
def later(server: Server, six_nights: str, tmp_path: Path) -> Iterator[Later]:
    with copied(server, six_nights, tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(server: Server, six_nights: str, tmp_path_factory: pytest.TempPathFactory) -> list[Mapping[str, Any]]:
    """Return the bars stored after all nights, none of which was missed."""
    with copied(server, six_nights, tmp_path_factory.mktemp("undisturbed")) as found:
        found.run_nights(nights(FIRST_NIGHT + timedelta(days=6), LAST_NIGHT))
        return found.content()


def test_nine_nights_without_a_daemon_are_caught_up_by_the_next(
    later: Later, undisturbed: list[Mapping[str, Any]]
) -> None:
    [catch_up] = later.run_nights([LAST_NIGHT])
    # The seven sessions of the nine days, and the four before them, which were to be fetched again.
    assert catch_up.sessions == list_sessions("XNYS", date(2024, 10, 8), date(2024, 10, 22))
    assert later.content() == undisturbed
    states = query(
        later.warehouse,
        "SELECT DISTINCT state FROM session_states WHERE date <= :latest",
        latest=catch_up.sessions[-1],
    )
    assert states == [{"state": "loaded"}]
    again = later.run_nights([LAST_NIGHT])
    assert [len(run.sessions) for run in again] == [5]


def test_nights_without_a_vendor_are_caught_up_by_the_next_with_one(
    later: Later, undisturbed: list[Mapping[str, Any]]
) -> None:
    later.run_nights(nights(FIRST_NIGHT + timedelta(days=6), FIRST_NIGHT + timedelta(days=9)))
    unreachable = nights(FIRST_NIGHT + timedelta(days=10), LAST_NIGHT - timedelta(days=1))
    later.run_nights(unreachable, faults=("unknown_key",))
    failures = query(later.warehouse, "SELECT DISTINCT symbol, error_details FROM backfill_history WHERE NOT success")
    assert {row["symbol"] for row in failures} == {symbol.name for symbol in SYMBOLS}
    assert all("Check POLYGON_API_KEY" in row["error_details"] for row in failures)
    later.run_nights([LAST_NIGHT])
    assert later.content() == undisturbed


def test_a_symbol_that_always_fails_does_not_affect_the_others(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    nosuch = Symbol.of("NOSUCH", "stock")
    add_symbols(warehouse, [*SYMBOLS, nosuch])
    first = nights(FIRST_NIGHT, FIRST_NIGHT + timedelta(days=2))
    done = run_nights(settings, instance, warehouse, first, symbols=[*SYMBOLS, nosuch])
    assert [(len(run.symbols), len(run.sessions)) for run in done] == [(4, YEAR), (3, 5), (1, YEAR), (3, 5), (1, YEAR)]
    tries = query(warehouse, "SELECT symbol, success, count(*) AS n FROM backfill_history GROUP BY 1, 2 ORDER BY 1")
    assert tries == [
        {"symbol": "AAPL", "success": True, "n": 3},
        {"symbol": "MSFT", "success": True, "n": 3},
        {"symbol": "NOSUCH", "success": False, "n": 3},
        {"symbol": "NVDA", "success": True, "n": 3},
    ]


def requests_of(settings: Settings, instance: DagsterInstance, night: date) -> list[dg.RunRequest]:
    schedule = build_loading(settings).get_repository_def().get_schedule_def("nightly_equities")
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at_two(night))
    return list(schedule.evaluate_tick(context).run_requests or [])


def test_the_schedule_requests_the_run_that_the_night_needs(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, SYMBOLS)
    [request] = requests_of(settings, instance, LAST_NIGHT)
    assert request.tags["dagster/asset_partition_range_start"] == "2023-10-11"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-10-22"
    assert {key.path[-1] for key in request.asset_selection or []} == {symbol.name for symbol in SYMBOLS}


def test_a_symbol_added_over_http_is_part_of_the_next_night(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, SYMBOLS[:1])
    key = {"X-API-Key": create_key(warehouse, "operations", Scope.ADMIN).get_secret_value()}
    with running_api(settings) as url:
        added = requests.post(f"{url}/api/v1/admin/symbols", json={"symbol": "NVDA"}, headers=key, timeout=30)
        assert added.status_code == 201
    [request] = requests_of(settings, instance, LAST_NIGHT)
    assert {key.path[-1] for key in request.asset_selection or []} == {"AAPL", "NVDA"}
    [run] = run_nights(settings, instance, warehouse, [LAST_NIGHT], symbols=list_active_symbols(warehouse))
    held = query(warehouse, "SELECT symbol, count(*) AS bars FROM market_data GROUP BY symbol ORDER BY symbol")
    assert held == [{"symbol": name, "bars": len(run.sessions)} for name in ("AAPL", "NVDA")]


def test_the_schedule_may_request_several_runs_and_none_twice(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, SYMBOLS)
    load_failure(
        warehouse,
        SYMBOLS[0],
        list_sessions("XNYS", date(2024, 10, 1), date(2024, 10, 22)),
        "the vendor returned 500",
    )
    both = requests_of(settings, instance, LAST_NIGHT)
    starts = {request.tags["dagster/asset_partition_range_start"]: request.asset_selection for request in both}
    assert starts == {
        "2023-10-11": [build_asset_key(symbol) for symbol in SYMBOLS[1:]],
        "2024-10-01": [build_asset_key(SYMBOLS[0])],
    }
    next_night = requests_of(settings, instance, LAST_NIGHT + timedelta(days=1))
    assert len({request.run_key for request in (*both, *next_night)}) == 4
