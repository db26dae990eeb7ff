"""Assets of markets: the rows and events of a run, a market's night, and the partitions of its tracked symbols."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

import dagster as dg
import pytest
import requests
from dagster import DagsterInstance
from pydantic import SecretStr
from sqlalchemy import Engine

from market_pipeline.core.markets import MARKETS
from market_pipeline.core.run_planning import SCHEDULE, SCOPE_TAG, TRIGGER_TAG, MarketScope
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.market_assets import build_market_assets, build_market_key
from market_pipeline.orchestration.partitions import build_range_tags
from market_pipeline.orchestration.run_launch import LaunchedRun, launch_assets
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tracked_markets import track_market, untrack_market
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import query

STOCKS = MARKETS["us_stocks"]
AAPL, MSFT = (Symbol.of(name, "stock") for name in ("AAPL", "MSFT"))
MARCH = list_sessions("XNYS", date(2024, 3, 4), date(2024, 3, 15))
TICKERS = 60


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running_sandbox(SandboxConfig(market_tickers=TICKERS)) as base_url:
        yield base_url


@pytest.fixture
def on_sandbox(settings: Settings, sandbox: str) -> Settings:
    return settings.model_copy(update={"polygon_base_url": sandbox})


def run(
    settings: Settings,
    instance: DagsterInstance,
    warehouse: Engine,
    sessions: Sequence[date],
    **tags: str,
) -> LaunchedRun:
    track_market(warehouse, STOCKS)
    range_tags = build_range_tags(sessions[0], sessions[-1])
    return launch_assets(
        build_loading(settings), [build_market_key(STOCKS)], {**range_tags, **tags}, instance, warehouse
    )


def materialized(instance: DagsterInstance, key: dg.AssetKey) -> Mapping[str, dg.AssetMaterialization]:
    records = instance.fetch_materializations(key, limit=1000).records
    found = [record.asset_materialization for record in reversed(records)]
    return {str(event.partition): event for event in found if event is not None}


def test_each_session_is_one_event_with_its_counters_and_feeds_the_tracked_symbols(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL])
    launched = run(on_sandbox, instance, warehouse, MARCH)
    assert launched.success, launched.error
    events = materialized(instance, build_market_key(STOCKS))
    assert set(events) == {str(day) for day in MARCH}
    stored = {
        str(row["date"]): row["bars"]
        for row in query(warehouse, "SELECT date, count(*) AS bars FROM bars GROUP BY date")
    }
    assert {day: event.metadata["dagster/partition_row_count"].value for day, event in events.items()} == stored
    assert min(stored.values()) > TICKERS / 2
    assert {event.metadata["requests"].value for event in events.values()} == {1}
    own = materialized(instance, build_asset_key(AAPL))
    assert {day: event.metadata["dagster/partition_row_count"].value for day, event in own.items()} == dict.fromkeys(
        map(str, MARCH), 1
    )
    [records] = query(warehouse, "SELECT sum(sessions) AS sessions, sum(requests) AS requests FROM backfill_history")
    assert records["sessions"] == len(MARCH)


def states(warehouse: Engine) -> dict[str, str]:
    rows = query(warehouse, "SELECT date, state FROM market_sessions WHERE market = 'us_stocks' ORDER BY date")
    return {str(row["date"]): row["state"] for row in rows}


def requested(warehouse: Engine, run_id: str) -> list[str]:
    rows = query(warehouse, "SELECT date FROM market_loads WHERE run_id = :run ORDER BY date", run=run_id)
    return [str(row["date"]) for row in rows]


def test_a_failed_session_stays_red_alone_until_missing_sessions_are_fetched(
    settings: Settings, on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL])
    with running_sandbox(SandboxConfig(market_tickers=TICKERS, faults=("wrong_adjusted@2024-03-06",))) as base_url:
        launched = run(settings.model_copy(update={"polygon_base_url": base_url}), instance, warehouse, MARCH[:5])
    assert not launched.success
    assert "1 of 5 sessions failed. 2024-03-06: " in str(launched.error)
    others = {str(day) for day in MARCH[:5]} - {"2024-03-06"}
    assert (
        set(materialized(instance, build_market_key(STOCKS)))
        == set(materialized(instance, build_asset_key(AAPL)))
        == others
    )
    assert states(warehouse)["2024-03-06"] == "failed"
    second = run(on_sandbox, instance, warehouse, MARCH[:5], **{SCOPE_TAG: MarketScope.MISSING.value})
    assert second.success
    assert requested(warehouse, second.run_id) == ["2024-03-06"]
    assert set(materialized(instance, build_asset_key(AAPL))) == {str(day) for day in MARCH[:5]}


def test_sessions_that_a_killed_run_stored_are_recorded_by_the_next(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_symbols(warehouse, [AAPL])
    with monkeypatch.context() as patch:
        patch.setattr("market_pipeline.orchestration.market_execution.record_materializations", lambda *_: None)
        run(on_sandbox, instance, warehouse, MARCH[:3])
    assert materialized(instance, build_market_key(STOCKS)) == {}
    assert run(on_sandbox, instance, warehouse, MARCH[3:5]).success
    assert set(materialized(instance, build_market_key(STOCKS))) == {str(day) for day in MARCH[:5]}
    assert set(materialized(instance, build_asset_key(AAPL))) == {str(day) for day in MARCH[:5]}


NIGHT = datetime(2024, 3, 16, 2, tzinfo=UTC)
"""The night after the last session of MARCH."""


def launch(settings: Settings, instance: DagsterInstance, warehouse: Engine, tags: Mapping[str, str]) -> LaunchedRun:
    at_night = {**tags, TRIGGER_TAG: SCHEDULE}
    return launch_assets(build_loading(settings), [build_market_key(STOCKS)], at_night, instance, warehouse)


def night_tags(settings: Settings, warehouse: Engine) -> dict[str, str]:
    """Return the tags of the run that the market's schedule requests in that night."""
    definitions = build_loading(settings)
    schedule = definitions.get_repository_def().get_schedule_def("nightly_market_us_stocks")
    context = dg.build_schedule_context(scheduled_execution_time=NIGHT)
    [request] = schedule.evaluate_tick(context).run_requests or []
    return dict(request.tags)


def test_a_night_fetches_the_newest_sessions_and_missing_ones(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    track_market(warehouse, STOCKS)
    with running_sandbox(
        SandboxConfig(market_tickers=TICKERS, now=NIGHT, faults=("wrong_adjusted@2024-03-06",))
    ) as url:
        run(settings.model_copy(update={"polygon_base_url": url}), instance, warehouse, MARCH[:4])
    assert states(warehouse)["2024-03-06"] == "failed"
    with running_sandbox(SandboxConfig(market_tickers=TICKERS, now=NIGHT)) as url:
        faulty = settings.model_copy(update={"polygon_base_url": url})
        tags = night_tags(faulty, warehouse)
        assert tags["dagster/asset_partition_range_start"] == "2024-03-06"
        launched = launch(faulty, instance, warehouse, tags)
    assert launched.success, launched.error
    # 03-06 failed, 03-08 was never requested, and each night fetches the newest five again
    assert requested(warehouse, launched.run_id) == ["2024-03-06", *map(str, MARCH[4:])]
    assert set(materialized(instance, build_market_key(STOCKS))) == set(map(str, MARCH))


def test_a_night_requests_tracked_symbols_only_for_sessions_that_the_market_lacks(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    track_market(warehouse, STOCKS)
    add_symbols(warehouse, [AAPL, MSFT])
    config = SandboxConfig(market_tickers=TICKERS, now=NIGHT, faults=("wrong_adjusted@grouped/2024-03-14",))
    with running_sandbox(config) as url:
        faulty = settings.model_copy(update={"polygon_base_url": url})
        tags = night_tags(faulty, warehouse)
        launched = launch(faulty, instance, warehouse, tags)
        stats = requests.get(f"{url}/_sandbox/stats", timeout=5).json()
    assert "1 of 5 sessions failed. 2024-03-14: " in str(launched.error)
    assert "symbol" not in str(launched.error)
    for symbol in (AAPL, MSFT):
        assert set(materialized(instance, build_asset_key(symbol))) == set(map(str, MARCH[-5:]))
    by_kind = stats["by_path_kind"]
    assert (by_kind["grouped"], by_kind["range"]) == (5, 2)


def test_the_symbols_of_a_tracked_market_have_no_night_of_their_own(settings: Settings, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    track_market(warehouse, STOCKS)
    schedule = build_loading(settings).get_repository_def().get_schedule_def("nightly_equities")
    tick = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=NIGHT))
    assert not tick.run_requests
    assert "The market us-stocks feeds these symbols" in str(tick.skip_message)
    untrack_market(warehouse, STOCKS)
    assert schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=NIGHT)).run_requests


def test_a_night_loads_a_replaced_file_however_old_and_keeps_the_earlier_bars_as_revisions(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    track_market(warehouse, STOCKS)
    config = SandboxConfig(market_tickers=TICKERS, now=NIGHT, faults=("replaced_file@2024-03-05",))
    with running_sandbox(config) as url:
        addresses = {"polygon_base_url": url, "polygon_s3_endpoint": url}
        keys = {"polygon_s3_access_key": SecretStr("any"), "polygon_s3_secret_key": SecretStr("any")}
        faulty = settings.model_copy(update={**addresses, **keys})
        # On such a plan all but the newest two sessions come from files: the others would wait.
        slow = Settings(_env_file=None, **{**dict(faulty), "polygon_requests_per_minute": 2})
        assert run(slow, instance, warehouse, MARCH).success
        [before] = query(warehouse, "SELECT version FROM market_sessions WHERE date = '2024-03-05'")
        launched = launch(faulty, instance, warehouse, night_tags(faulty, warehouse))
    assert launched.success, launched.error
    assert requested(warehouse, launched.run_id) == ["2024-03-05", *map(str, MARCH[-5:])]
    [after] = query(warehouse, "SELECT version, state FROM market_sessions WHERE date = '2024-03-05'")
    assert (after["state"], after["version"] != before["version"]) == ("corrected", True)
    [kept] = query(warehouse, "SELECT count(*) AS bars FROM market_data_revisions WHERE date = '2024-03-05'")
    assert kept["bars"] > 0


def test_half_a_session_is_not_stored_and_the_next_night_loads_all_of_it(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    track_market(warehouse, STOCKS)
    config = SandboxConfig(market_tickers=TICKERS, now=NIGHT, faults=("half_rows@2024-03-08*1",))
    with running_sandbox(config) as url:
        faulty = settings.model_copy(update={"polygon_base_url": url})
        launched = run(faulty, instance, warehouse, MARCH)
        assert "1 of 10 sessions failed. 2024-03-08: it has only" in str(launched.error)
        assert states(warehouse)["2024-03-08"] == "suspicious"
        assert query(warehouse, "SELECT FROM bars WHERE date = '2024-03-08'") == []
        assert launch(faulty, instance, warehouse, night_tags(faulty, warehouse)).success
    assert states(warehouse)["2024-03-08"] == "loaded"


def test_any_range_of_partitions_is_one_run() -> None:
    [asset] = build_market_assets([STOCKS], NIGHT.date())
    assert asset.backfill_policy == dg.BackfillPolicy.single_run()
    assert asset.partitions_def is not None
    keys = asset.partitions_def.get_partition_keys_in_range(dg.PartitionKeyRange("2024-03-28", "2024-04-01"))
    assert keys == ["2024-03-28", "2024-04-01"]  # Good Friday is no session
