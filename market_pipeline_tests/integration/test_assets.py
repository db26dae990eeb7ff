"""Assets: the rows and events of a range run, for symbols that succeed, fail, or have no bars."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import requests
from dagster import DagsterInstance
from sqlalchemy import Engine, func, select

from market_pipeline.core.plans import PlanName, subtract_years
from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.sessions import CALENDARS, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol, list_starting_symbols
from market_pipeline.orchestration.assets import SYMBOLS_PER_STEP, build_asset_key, build_assets
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.run_launch import LaunchedRun, launch_range_run
from market_pipeline.orchestration.schedules import plan_night
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.coverage import read_coverage
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import query

AAPL, MSFT, FB, NOSUCH = (Symbol.of(name, "stock") for name in ("AAPL", "MSFT", "FB", "NOSUCH"))


@pytest.fixture
def on_sandbox(settings: Settings) -> Iterator[Settings]:
    with running_sandbox(SandboxConfig()) as base_url:
        yield settings.model_copy(update={"polygon_base_url": base_url})


def run(
    settings: Settings, instance: DagsterInstance, warehouse: Engine, symbols: Sequence[Symbol], start: date, end: date
) -> LaunchedRun:
    add_symbols(warehouse, symbols)
    [range_run] = plan_range_runs(symbols, start, end, datetime.now(UTC))
    return launch_range_run(build_loading(settings), range_run, instance, warehouse)


def materialized(instance: DagsterInstance, symbol: Symbol) -> Mapping[str, dg.AssetMaterialization]:
    records = instance.fetch_materializations(build_asset_key(symbol), limit=1000).records
    found = [record.asset_materialization for record in reversed(records)]
    return {str(event.partition): event for event in found if event is not None}


def test_a_symbol_that_fails_is_red_and_its_neighbours_stay_green(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    launched = run(on_sandbox, instance, warehouse, [AAPL, NOSUCH, MSFT], date(2012, 10, 26), date(2012, 11, 2))
    assert not launched.success
    sessions = {"2012-10-26", "2012-10-31", "2012-11-01", "2012-11-02"}
    assert set(materialized(instance, AAPL)) == set(materialized(instance, MSFT)) == sessions
    assert materialized(instance, NOSUCH) == {}
    assert "NOSUCH: No data returned for symbol (" in str(launched.error)


def test_every_session_counts_its_row_and_the_newest_has_the_runs_counters(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    assert run(on_sandbox, instance, warehouse, [AAPL], date(2012, 10, 26), date(2012, 11, 2)).success
    events = materialized(instance, AAPL)
    assert [event.metadata["dagster/partition_row_count"].value for event in events.values()] == [1] * 4
    metadata = {name: entry.value for name, entry in events["2012-11-02"].metadata.items()}
    expected = {
        "first_session": "2012-10-26", "last_session": "2012-11-02", "sessions_missing": 0, "requests": 1,
        "fetched": 4, "loaded": 4, "revised": 0, "unchanged": 0, "rejected": 0,
    }  # fmt: skip
    assert {name: metadata[name] for name in expected} == expected


def test_a_run_does_not_report_missing_outputs(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    launched = run(on_sandbox, instance, warehouse, [AAPL], date(2012, 10, 26), date(2012, 11, 2))
    messages = [entry.user_message for entry in instance.all_logs(launched.run_id)]
    assert any("Successfully backfilled AAPL" in line for line in messages)
    assert not any("did not yield" in line for line in messages)


def rows(instance: DagsterInstance, symbol: Symbol) -> dict[str, int]:
    """Return the row count of each materialized partition."""
    found: dict[str, Any] = {day: event.metadata for day, event in materialized(instance, symbol).items()}
    return {day: found[day]["dagster/partition_row_count"].value for day in sorted(found)}


def test_a_session_before_the_listing_is_materialized_without_a_row_and_with_the_reason(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    launched = run(on_sandbox, instance, warehouse, [AAPL, FB], date(2012, 5, 14), date(2012, 5, 22))
    assert launched.success
    assert set(rows(instance, AAPL).values()) == {1}
    assert rows(instance, FB) == {
        "2012-05-14": 0, "2012-05-15": 0, "2012-05-16": 0, "2012-05-17": 0,
        "2012-05-18": 1, "2012-05-21": 1, "2012-05-22": 1,
    }  # fmt: skip
    events = materialized(instance, FB)
    assert events["2012-05-14"].metadata["reason"].value == "before its first bar, of 2012-05-18"
    assert "reason" not in events["2012-05-18"].metadata
    metadata = events["2012-05-22"].metadata
    counters = [metadata[name].value for name in ("sessions", "sessions_empty", "sessions_missing")]
    assert counters == [7, 4, 0]
    [covered] = read_coverage(warehouse, ["FB"])
    assert (covered["loaded"], covered["first_session"]) == (3, date(2012, 5, 18))


def test_a_run_entirely_before_the_listing_succeeds_where_the_vendor_gives_its_date(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    assert run(on_sandbox, instance, warehouse, [FB], date(2012, 5, 9), date(2012, 5, 10)).success
    assert rows(instance, FB) == {"2012-05-09": 0, "2012-05-10": 0}
    reasons = {event.metadata["reason"].value for event in materialized(instance, FB).values()}
    assert reasons == {"before it was listed, on 2012-05-18"}
    [load_record] = query(warehouse, "SELECT success, missing, notes FROM backfill_history")
    assert load_record == {"success": True, "missing": 2, "notes": "listed on 2012-05-18"}


def test_a_session_whose_bar_was_rejected_or_is_outside_the_plan_stays_missing(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    config = SandboxConfig(faults=("impossible_bars",))
    with running_sandbox(config) as base_url:
        faulty = settings.model_copy(update={"polygon_base_url": base_url})
        assert run(faulty, instance, warehouse, [AAPL], date(2012, 10, 31), date(2012, 11, 6)).success
    assert rows(instance, AAPL) == {"2012-11-05": 1, "2012-11-06": 1}
    newest = materialized(instance, AAPL)["2012-11-06"].metadata
    assert (newest["sessions_empty"].value, newest["sessions_missing"].value) == (0, 3)


def test_a_history_that_the_vendor_cuts_off_in_silence_proves_nothing_about_earlier_sessions(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    today = datetime.now(CALENDARS["XNYS"].timezone).date()  # by which the vendor counts the years of a plan
    [*_, edge] = list_sessions("XNYS", today - timedelta(days=750), subtract_years(today, 2) + timedelta(days=5))
    with running_sandbox(SandboxConfig(plan=PlanName.BASIC, history_edge="clip")) as base_url:
        faulty = settings.model_copy(update={"polygon_base_url": base_url, "polygon_plan": None})
        assert run(faulty, instance, warehouse, [AAPL], edge - timedelta(days=30), edge).success
    assert set(rows(instance, AAPL).values()) == {1}
    assert str(subtract_years(today, 2)) <= min(rows(instance, AAPL))


def test_a_session_without_a_bar_gets_its_row_once_the_vendor_has_it(
    on_sandbox: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    day = date(2012, 10, 31)
    for around in (date(2012, 10, 26), date(2012, 11, 1)):
        assert run(on_sandbox, instance, warehouse, [AAPL], around, around).success
    with running_sandbox(
        SandboxConfig(faults=("empty@range/AAPL*2",))
    ) as base_url:  # the vendor is requested once more
        forgetful = on_sandbox.model_copy(update={"polygon_base_url": base_url})
        assert run(forgetful, instance, warehouse, [AAPL], day, day).success
    assert rows(instance, AAPL) == {"2012-10-26": 1, "2012-10-31": 0, "2012-11-01": 1}
    assert run(on_sandbox, instance, warehouse, [AAPL], day, day).success
    assert rows(instance, AAPL) == {"2012-10-26": 1, "2012-10-31": 1, "2012-11-01": 1}


def test_assets_are_grouped_by_asset_class_and_split_into_steps_of_one_calendar() -> None:
    stocks = [Symbol.of(f"S{number:03}".replace("0", "O"), "stock") for number in range(1, 10)]
    many = [Symbol.of("A" + chr(65 + n // 26) + chr(65 + n % 26), "etf") for n in range(SYMBOLS_PER_STEP)]
    crypto = [Symbol.of("BTC", "crypto")]
    steps = build_assets([*stocks, *many, *crypto], date(2026, 11, 23))
    assert [(step.op.name, len(step.keys)) for step in steps] == [
        ("bars_crypto_1", 1),
        ("bars_equities_1", SYMBOLS_PER_STEP),
        ("bars_equities_2", 9),
    ]
    specs = {spec.key: spec for step in steps for spec in step.specs}
    assert specs[build_asset_key(crypto[0])].group_name == "crypto"
    assert specs[build_asset_key(stocks[0])].group_name == "stocks"
    assert specs[build_asset_key(many[0])].group_name == "etfs"


def test_the_columns_that_dagster_shows_are_the_tables(warehouse: Engine) -> None:
    [step] = build_assets([AAPL], date(2026, 11, 23))
    [spec] = step.specs
    schema = spec.metadata["dagster/column_schema"]
    shown = [(column.name, column.description) for column in schema.columns]
    assert shown == [(column.name, column.comment) for column in market_data.columns]


def test_a_night_of_60_equities_and_20_crypto_pairs_takes_10_requests(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    others = [Symbol.of(name, "stock") for name in ("GE", "T", "F", "GM", "WMT", "HD", "MCD", "NKE", "CAT", "MMM",
                                                    "ORCL", "QCOM", "TXN", "UPS", "CVX")]  # fmt: skip
    symbols = [*list_starting_symbols(), *others]
    listed = frozenset(symbol.vendor_ticker for symbol in others)
    with running_sandbox(SandboxConfig(also_listed=listed)) as base_url:
        add_symbols(warehouse, symbols)
        definitions = build_loading(settings.model_copy(update={"polygon_base_url": base_url}))
        for calendar_name in ("XNYS", "24/7"):
            members = [symbol for symbol in symbols if symbol.calendar == calendar_name]
            # Nothing is stored yet, so that the night would reach back as far as it may.
            usual = settings.model_copy(update={"backfill_reach_back_sessions": 5})
            [night] = plan_night(usual, members, date(2024, 6, 14))
            assert launch_range_run(definitions, night, instance, warehouse).success
        by_kind = requests.get(f"{base_url}/_sandbox/stats", timeout=10).json()["by_path_kind"]
        assert by_kind == {"grouped": 10, "splits": 1, "dividends": 1}
    with warehouse.connect() as connection:
        assert connection.execute(select(func.count()).select_from(market_data)).scalar_one() == 80 * 5
