"""Assets of splits and dividends: the requests of a refresh, and its results in Dagster."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dagster as dg
import pandas as pd
import pytest
from dagster import DagsterInstance
from sqlalchemy import Engine

from market_pipeline.core.settings import Settings
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.corporate_action_assets import build_corporate_actions
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import corporate_action_refresh
from market_pipeline.warehouse.tables import dividends, splits
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.integration.corporate_action_cases import (
    AAPL,
    BTC,
    MANY,
    MSFT,
    NOW,
    SPLIT,
    counts,
    factors,
    listing,
    refresh_from,
    refresh_once,
    requested_tickers,
    rows,
)
from market_pipeline_tests.integration.mart_cases import add_bars
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

PRICES = {"open": 500.0, "high": 500.0, "low": 500.0, "close": 500.0, "volume": 1000.0}
NEXT = "https://api.massive.com/stocks/v1/splits?cursor=YWN0"


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, BTC])


# --- requests to the vendor


def test_only_equities_are_requested_each_from_the_first_session_on(warehouse: Engine) -> None:
    with scripted_vendor(listing(SPLIT)) as vendor:
        refresh_once(warehouse, vendor)
    [path] = vendor.paths
    query = dict(parse_qsl(urlsplit(path).query))
    dates = query["execution_date.gte"], query["execution_date.lte"]
    assert (query["ticker.any_of"], *dates) == ("AAPL", "2000-01-03", "2099-12-31")


def test_an_empty_response_for_a_known_history_is_requested_again(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(SPLIT))
    assert counts(refresh_from(warehouse, listing(), listing(SPLIT))) == {"unchanged": 1}
    assert counts(refresh_from(warehouse, listing(), listing())) == {"removed": 1}
    assert counts(refresh_from(warehouse, listing())) == {}


def test_a_failure_half_way_leaves_the_table_as_it_was(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(SPLIT))
    add_symbols(warehouse, [MSFT])
    rejected_key = Reply({"status": "ERROR", "error": "Unknown API Key"}, 401)
    with pytest.raises(PolygonError):
        refresh_from(warehouse, Reply({**listing({**SPLIT, "ticker": "MSFT"}).body, "next_url": NEXT}), rejected_key)
    assert factors(warehouse) == [("AAPL", date(2020, 8, 31), 1.0, 4.0)]
    refresh_from(warehouse, listing({**SPLIT, "ticker": "MSFT"}, SPLIT))  # MSFT still counts as new
    assert [symbol for symbol, *_ in factors(warehouse)] == ["AAPL", "MSFT"]


def night(warehouse: Engine, replies: Sequence[Reply], days: int) -> list[list[str] | None]:
    """Return the tickers of each request, None for the whole market, so many days after the first night."""
    with scripted_vendor(*replies) as vendor:
        refresh_once(warehouse, vendor, at=NOW + timedelta(days=days))
        return requested_tickers(vendor)


@pytest.fixture
def five_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let eight symbols be more than one run requests in full."""
    monkeypatch.setattr(corporate_action_refresh, "HISTORIES_A_RUN", 5)


@pytest.mark.usefixtures("five_a_run")
def test_many_symbols_share_one_request_and_take_turns_with_their_histories(warehouse: Engine) -> None:
    remove_symbol(warehouse, "AAPL")
    add_symbols(warehouse, MANY)
    names = [symbol.name for symbol in MANY]
    assert night(warehouse, [listing()], 0) == [names]
    assert night(warehouse, [listing()] * 2, 1) == [names[:5], None]
    assert night(warehouse, [listing()] * 2, 2) == [["SF", "SG", "SH", "SA", "SB"], None]
    add_symbols(warehouse, [AAPL])
    assert night(warehouse, [listing()] * 2, 3) == [["AAPL", "SC", "SD", "SE", "SA"], None]


def test_after_a_long_pause_every_history_is_requested_again(warehouse: Engine) -> None:
    remove_symbol(warehouse, "AAPL")
    add_symbols(warehouse, MANY)
    night(warehouse, [listing()], 0)
    assert night(warehouse, [listing()], 40) == [[symbol.name for symbol in MANY]]


def test_only_symbols_left_out_of_a_response_are_requested_again(warehouse: Engine) -> None:
    add_symbols(warehouse, [MSFT])
    both = listing(SPLIT, {**SPLIT, "ticker": "MSFT"})
    refresh_from(warehouse, both)
    with scripted_vendor(listing(SPLIT), listing({**SPLIT, "ticker": "MSFT"})) as vendor:
        refresh_once(warehouse, vendor)
    assert requested_tickers(vendor) == [["AAPL", "MSFT"], ["MSFT"]]
    assert len(factors(warehouse)) == 2


@pytest.mark.usefixtures("five_a_run")
def test_the_markets_recent_days_change_only_what_they_cover(warehouse: Engine) -> None:
    remove_symbol(warehouse, "AAPL")
    add_symbols(warehouse, MANY)
    old, recent = ({"ticker": "SH", "execution_date": day, "split_from": 1, "split_to": 2} for day in
                   ("2010-01-04", "2024-06-03"))  # fmt: skip
    night(warehouse, [listing(old, recent)], 0)
    announced = {**recent, "execution_date": "2024-07-01"}
    stranger = {**recent, "ticker": "ZZZ"}
    night(warehouse, [listing(), listing(announced, stranger)], 1)
    assert [(symbol, str(day)) for symbol, day, *_ in factors(warehouse)] == [
        ("SH", "2010-01-04"),
        ("SH", "2024-07-01"),
    ]


def test_a_symbol_no_longer_tracked_keeps_its_splits_and_is_not_requested(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(SPLIT))
    remove_symbol(warehouse, "AAPL")
    assert counts(refresh_from(warehouse)) == {}
    assert len(factors(warehouse)) == 1


# --- in Dagster


def nightly_run(settings: Settings, instance: DagsterInstance) -> dict[str, dict[str, Any]]:
    """Return the metadata of both assets after the nightly job."""
    job = build_loading(settings).resolve_job_def("nightly_corporate_actions_job")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success
    events = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return {event.asset_key.to_user_string(): {k: v.value for k, v in event.metadata.items()} for event in events}


def test_the_nightly_run_brings_both_tables_up_to_date_and_reports_its_counters(
    settings: Settings, warehouse: Engine
) -> None:
    add_symbols(warehouse, [MSFT, *MANY])
    with running_sandbox(SandboxConfig(now=NOW)) as base_url, DagsterInstance.ephemeral() as instance:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        first = nightly_run(on_sandbox, instance)
        held = {name: rows(warehouse, table) for name, table in (("splits", splits), ("dividends", dividends))}
        again = nightly_run(on_sandbox, instance)
    real = [row for row in factors(warehouse) if row[0] in ("AAPL", "MSFT")]
    assert real == [
        ("AAPL", date(2000, 6, 21), 1.0, 2.0),
        ("AAPL", date(2005, 2, 28), 1.0, 2.0),
        ("MSFT", date(2003, 2, 18), 1.0, 2.0),
    ]
    for name, table in (("splits", splits), ("dividends", dividends)):
        assert first[name]["loaded"] == first[name]["dagster/row_count"] == len(held[name]) > 0
        assert (first[name]["symbols_asked_in_full"], again[name]["symbols_asked_in_full"]) == (10, 10)
        assert (again[name]["loaded"], again[name]["revised"], again[name]["removed"]) == (0, 0, 0)
        assert rows(warehouse, table) == held[name]
        assert {row["source"] for row in held[name]} == {"sandbox"}


def test_a_check_names_the_symbols_whose_adjusted_prices_are_not_known(settings: Settings, warehouse: Engine) -> None:
    days = [date(2012, 7, 2), date(2013, 2, 8)]  # and no bar in the ten sessions before Apple's three dividends between
    add_bars(warehouse, AAPL, pd.DataFrame({"date": days, **PRICES}))
    with running_sandbox(SandboxConfig(now=NOW)) as base_url, DagsterInstance.ephemeral() as instance:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        job = build_loading(on_sandbox).resolve_job_def("nightly_corporate_actions_job")
        checks = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    found = {check.asset_key.to_user_string(): check for check in checks if check.check_name == "known_effects"}
    assert {name: check.passed for name, check in found.items()} == {"splits": True, "dividends": False}
    assert found["dividends"].severity is dg.AssetCheckSeverity.WARN
    assert "dividend of 2013-02-07: no close in the ten sessions before" in (found["dividends"].description or "")


def test_both_assets_show_their_tables_columns_and_belong_to_the_team() -> None:
    specs = {spec.key.to_user_string(): spec for asset in build_corporate_actions() for spec in asset.specs}
    assert set(specs) == {"splits", "dividends"}
    for table in (splits, dividends):
        spec = specs[table.name]
        assert (spec.group_name, spec.kinds, spec.owners) == (
            "corporate_actions", {"python", "postgres"}, ["team:market-data"],
        )  # fmt: skip
        shown = [(column.name, column.description) for column in spec.metadata["dagster/column_schema"].columns]
        assert shown == [(column.name, column.comment) for column in table.columns]


def test_the_schedule_is_on_from_the_start_at_the_hour_of_the_others_where_there_are_equities(
    settings: Settings, warehouse: Engine
) -> None:
    late = settings.model_copy(update={"backfill_schedule_hour": 5, "backfill_schedule_minute": 30})
    schedule = build_loading(late).resolve_schedule_def("nightly_corporate_actions")
    assert schedule.cron_schedule == "30 5 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    remove_symbol(warehouse, "AAPL")
    names = [schedule.name for schedule in build_loading(late).schedules or []]
    assert names == ["nightly_crypto"]
