"""Markets that are behind, in alerts, `status` and `doctor`, and the reload once another market is tracked."""

import json
from datetime import UTC, date, datetime

import dagster as dg
import pytest
from sqlalchemy import Engine

from market_pipeline.core.settings import Settings
from market_pipeline.market_blocks import NOT_YET
from market_pipeline.operations.database_checks import CheckContext
from market_pipeline.operations.doctor import check_markets
from market_pipeline.operations.market_state import read_market_states
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.freshness import find_stale_markets
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse.database_probe import probe_warehouse
from market_pipeline.warehouse.load_history import read_newest_load
from market_pipeline.warehouse.market_records import MarketRun, record_session_failure
from market_pipeline.warehouse.tracked_markets import track_market, untrack_market
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.integration.market_cases import STOCKS, Bar, load_market, session_of

RUN = MarketRun("run-2", "schedule", "sandbox")
BARS = {"AAPL": Bar(), "KIMpL": Bar()}


def at(day: int, hour: int) -> datetime:
    return datetime(2024, 3, day, hour, tzinfo=UTC)


def store(warehouse: Engine, *days: int) -> None:
    load_market(warehouse, *(session_of(date(2024, 3, day), BARS) for day in days))


@pytest.mark.parametrize(
    ("now", "behind"),
    [
        (at(8, 1), 0),  # the night that should load the 7th is still to come
        (at(8, 4), 0),  # it is given its time
        (at(8, 6), 1),
        (at(9, 6), 2),
        (at(10, 6), 2),  # a weekend
    ],
)
def test_a_market_is_stale_once_the_night_that_should_have_loaded_it_is_over(
    now: datetime, behind: int, warehouse: Engine, settings: Settings
) -> None:
    store(warehouse, 5, 6)
    stale = find_stale_markets(warehouse, settings, now)
    assert {name: each.sessions_behind for name, each in stale.items()} == (
        {"market us-stocks": behind} if behind else {}
    )


def test_a_stale_market_is_one_line_with_the_reason_and_a_late_plan_is_not_stale(
    warehouse: Engine, settings: Settings
) -> None:
    store(warehouse, 5, 6)
    record_session_failure(warehouse, STOCKS, date(2024, 3, 7), RUN, NOT_YET)
    assert find_stale_markets(warehouse, settings, at(8, 6)) == {}
    record_session_failure(warehouse, STOCKS, date(2024, 3, 7), RUN, "HTTP 500")
    [found] = find_stale_markets(warehouse, settings, at(8, 6)).values()
    assert found.description == "market us-stocks: 1 session behind, its newest is 2024-03-06 (HTTP 500)"
    untrack_market(warehouse, STOCKS)
    assert find_stale_markets(warehouse, settings, at(8, 6)) == {}


def test_status_and_doctor_name_a_market_and_its_next_step(
    command: Command, warehouse: Engine, settings: Settings
) -> None:
    track_market(warehouse, STOCKS)
    [state] = read_market_states(warehouse, settings, at(8, 6))
    assert state.problem == "the market us-stocks was never loaded: run `market-pipeline market backfill us-stocks`"
    store(warehouse, 5, 6)
    record_session_failure(warehouse, STOCKS, date(2024, 3, 7), RUN, "HTTP 500")
    [state] = read_market_states(warehouse, settings, at(8, 6))
    assert (state.newest_session, state.stored, state.missing) == (date(2024, 3, 6), 2, 1)
    _, output, _ = command("status", "--api-url", "http://127.0.0.1:9")
    assert "market      us-stocks: 2 sessions, newest 2024-03-06, " in output
    assert "run `market-pipeline market backfill us-stocks --missing`" in output
    assert "no symbols are tracked" not in output
    report = json.loads(command("status", "--json", "--api-url", "http://127.0.0.1:9")[1])
    assert report["markets"][0]["newest_session"] == "2024-03-06"
    with probe_warehouse(settings) as found:
        finding = check_markets("markets", CheckContext(settings, warehouse, found))
    assert (finding.level, "sessions of the market us-stocks are missing" in finding.found) == ("warning", True)


def test_a_market_s_load_is_one_that_the_marts_are_built_after(warehouse: Engine) -> None:
    assert read_newest_load(warehouse) is None
    store(warehouse, 5)
    first = read_newest_load(warehouse)
    store(warehouse, 6)
    assert None is not first != read_newest_load(warehouse)


def test_tracking_a_market_requests_a_reload(
    settings: Settings, environment: dict[str, str], warehouse: Engine
) -> None:
    nowhere = settings.model_copy(update={"dagster_webserver_url": "http://127.0.0.1:9"})
    sensor = build_loading(nowhere).get_repository_def().get_sensor_def("tracked_symbols_changed")
    with open_instance(settings) as instance:
        context = dg.build_sensor_context(instance=instance)
        assert sensor.evaluate_tick(context).skip_message == "All 0 active symbols are loaded."
        track_market(warehouse, STOCKS)
        assert "1 new (market us-stocks), but no Dagster webserver" in str(sensor.evaluate_tick(context).skip_message)
    reloaded = build_loading(nowhere).get_repository_def()
    assert reloaded.has_schedule_def("nightly_market_us_stocks")
