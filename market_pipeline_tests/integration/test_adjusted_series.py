"""Adjusted series after each kind of split and dividend: the table of docs/corporate-actions.md, in one warehouse."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from sqlalchemy import Engine

from market_pipeline.api.server import running_api
from market_pipeline.cli.main import main
from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.adjustment import find_unknown_adjustments
from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS, SPLITS, ActionTable
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dbt_server import run_forked_dbt
from market_pipeline_tests.integration.adjustment_cases import CASES, CONTRADICTED, DAY, FIRST, LAST, Case, Record
from market_pipeline_tests.integration.api_cases import HISTORICAL, environment_of
from market_pipeline_tests.integration.corporate_action_cases import NOW, listing, refresh_once
from market_pipeline_tests.integration.mart_cases import database, set_today, settings_of
from market_pipeline_tests.integration.stored_bars import load_frame, query
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

PAGE = Path(__file__).parents[2] / "docs" / "corporate-actions.md"
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the warehouse's settings."""
    return tmp_path_factory.mktemp("series")


@pytest.fixture(scope="module")
def settings_of_series(series: Engine, folder: Path) -> Settings:
    """Return the settings of the warehouse with all cases."""
    return settings_of(series, folder)


@pytest.fixture(scope="module")
def series(server: embedded.Server, folder: Path) -> Iterator[Engine]:
    """Yield a warehouse with all cases, as after three nights: the vendor's first list, its list of now, a failure."""
    requested = [case for case in CASES if case.requested]
    with database(server, "adjusted_series") as warehouse:
        set_today(warehouse, LAST)
        add_symbols(warehouse, [Symbol.of(case.symbol, "stock") for case in requested])
        refresh(warehouse, SPLITS, records_of(requested, lambda case: case.earlier_splits or case.splits), nights=0)
        for case in requested:
            load_bars(warehouse, case)
        refresh(warehouse, SPLITS, records_of(requested, lambda case: case.splits), nights=40)
        refresh(warehouse, DIVIDENDS, records_of(requested, lambda case: case.dividends), nights=40)
        with scripted_vendor(Reply(b"", 400)) as vendor, pytest.raises(PolygonError):
            refresh_once(warehouse, vendor, SPLITS, at=NOW + timedelta(days=80))
        for case in (case for case in CASES if not case.requested):
            add_symbols(warehouse, [Symbol.of(case.symbol, "stock")])
            load_bars(warehouse, case)
        run_forked_dbt(
            settings_of(warehouse, folder), "run", "--quiet", "--select", "+daily_returns", "+corporate_actions"
        )
        yield warehouse


def records_of(cases: Sequence[Case], records: Any) -> list[Record]:
    """Return the vendor's records of the cases."""
    return [{"ticker": case.symbol, **record} for case in cases for record in records(case)]


def refresh(warehouse: Engine, actions: ActionTable, records: Sequence[Record], *, nights: int) -> None:
    """Refresh from a vendor that sends these records to any request, so many nights after the first."""
    with scripted_vendor(*[listing(*records)] * len(CASES)) as vendor:
        refresh_once(warehouse, vendor, actions, at=NOW + timedelta(days=nights))


def load_bars(warehouse: Engine, case: Case) -> None:
    """Load the case's bars."""
    days = pd.DatetimeIndex(pd.to_datetime(list(case.bars)))
    close = pd.Series(list(case.bars.values()), dtype=float)
    frame = pd.DataFrame({"date": days, "time": compute_session_starts("XNYS", days), "open": close, "high": close})
    frame = frame.assign(low=close, close=close, volume=1000.0, vwap=float("nan"), transactions=float("nan"))
    load_frame(warehouse, Symbol.of(case.symbol, "stock"), frame, sessions=list_sessions("XNYS", min(case.bars), LAST))


@EACH
def test_each_action_is_stored_or_rejected_with_the_reason(series: Engine, case: Case) -> None:
    stored = [
        query(series, f"SELECT FROM {table} WHERE symbol = :s", s=case.symbol) for table in ("splits", "dividends")
    ]
    assert tuple(map(len, stored)) == case.stored
    kept = query(series, "SELECT reasons, listed FROM rejected_corporate_actions WHERE symbol = :s", s=case.symbol)
    assert sorted((*row["reasons"], row["listed"]) for row in kept) == sorted(case.rejected)


@EACH
def test_the_adjusted_series_has_the_value_worked_out_by_hand_or_the_reason(series: Engine, case: Case) -> None:
    found = query(series, "SELECT * FROM daily_bars_adjusted WHERE symbol = :s ORDER BY date", s=case.symbol)
    assert [row["date"] for row in found] == list(case.bars)
    before = [row for row in found if row["date"] <= case.examined]
    expected = (case.split_factor, case.dividend_factor, case.adj_close)
    values = [before[-1][name] for name in ("split_factor", "dividend_factor", "adj_close")]
    assert values == [value if value is None else pytest.approx(value, rel=1e-14) for value in expected]
    assert before[-1]["unknown_because"] == case.because
    if case.adj_close is None:
        assert all(row["adj_close"] is None and row["unknown_because"] == case.because for row in before)
    if case.examined < LAST and case.requested:
        newest = found[-1]
        assert (newest["adj_close"], newest["unknown_because"]) == (newest["close"], None)


@EACH
def test_the_mart_of_actions_has_the_reason_of_each_that_is_not_applied(series: Engine, case: Case) -> None:
    mart = "SELECT not_applied_because AS reason FROM analytics.corporate_actions WHERE symbol = :s"
    found = [row["reason"] for row in query(series, mart, s=case.symbol)]
    assert len(found) == sum(case.stored) + sum(listed for _, listed in case.rejected)
    if case.because is not None and case.not_applied is None:
        assert all(reason and reason in case.because for reason in found)
    else:
        assert found == [case.not_applied] * len(found)


@EACH
def test_the_return_of_the_day_is_known_only_where_the_action_is(series: Engine, case: Case) -> None:
    mart = "SELECT total_return FROM analytics.daily_returns WHERE symbol = :s AND date = :day"
    [row] = query(series, mart, s=case.symbol, day=DAY)
    assert row["total_return"] == (None if case.returned is None else pytest.approx(case.returned, abs=1e-12))


@pytest.mark.parametrize("name", ["dated a day late", "spin-off not listed"])
def test_a_move_without_its_split_is_flagged(series: Engine, name: str) -> None:
    [symbol] = [case.symbol for case in CASES if case.name == name]
    flagged = query(series, "SELECT date FROM market_data WHERE symbol = :s AND gap_detected ORDER BY 1", s=symbol)
    assert DAY in [row["date"] for row in flagged]


def test_symbols_without_all_adjusted_prices_are_named_with_the_first_known_day_and_the_reason(series: Engine) -> None:
    found = {unknown.symbol: str(unknown) for unknown in find_unknown_adjustments(series)}
    assert set(found) == {case.symbol for case in CASES if case.because is not None}
    assert found["SPX"] == f"SPX before 2024-03-15 (split of 2024-03-15: {CONTRADICTED})"
    assert found["NEVR"] == "NEVR (splits and dividends were never requested)"


def test_status_names_symbols_without_all_adjusted_prices(
    settings_of_series: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with environment_of(settings_of_series):
        with pytest.raises(SystemExit):
            main(["status"])
        [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("adjusted ")]
        assert re.match(r"adjusted +not all prices of \d+ symbols: CADV before 2024-03-15 \(dividend of ", line)
        with pytest.raises(SystemExit):
            main(["status", "--json"])
    unknown = {one["symbol"]: one for one in json.loads(capsys.readouterr().out)["unknown_adjustments"]}
    assert (unknown["DVC"]["fully_adjusted_from"], unknown["DVC"]["splits_known"]) == ("2024-03-15", True)


@pytest.fixture(scope="module")
def api(settings_of_series: Settings) -> Iterator[str]:
    """Yield the URL of an API over the cases."""
    with environment_of(settings_of_series), running_api(settings_of_series) as url:
        yield url


def get(api: str, symbol: str, **parameters: str) -> requests.Response:
    known = {"start": str(FIRST), "end": str(LAST), **parameters}
    return requests.get(f"{api}{HISTORICAL}/{symbol}", params=known, timeout=60)


@pytest.mark.parametrize(("symbol", "parameters"), [("SPX", {}), ("DVC", {"adjustment": "all"})])
def test_history_has_null_prices_before_the_first_known_day_and_the_reason(
    api: str, symbol: str, parameters: dict[str, str]
) -> None:
    response = get(api, symbol, **parameters)
    content = response.json()
    kind = "split" if symbol == "SPX" else "dividend"
    reason = f"{kind} of 2024-03-15: {CONTRADICTED}"
    assert content["known_from"] == response.headers["x-known-from"] == "2024-03-15"
    assert content["note"] == f"The adjusted prices of {symbol} before 2024-03-15 are not known, and null: {reason}."
    assert content["count"] == 10
    assert [row["close"] is None for row in content["data"]] == [row["date"] < "2024-03-15" for row in content["data"]]
    assert get(api, symbol, format="csv", **parameters).headers["x-known-from"] == "2024-03-15"


def test_history_since_the_first_known_day_is_as_if_nothing_was_unknown(api: str) -> None:
    response = get(api, "SPX", start=str(DAY))
    assert (response.json()["known_from"], response.json()["note"]) == (None, None)
    assert "x-known-from" not in response.headers


def test_history_without_any_adjusted_price_is_as_traded_with_the_reason(api: str) -> None:
    content = get(api, "SPX", end="2024-03-14").json()
    reason = f"the adjusted prices of SPX are not known: split of 2024-03-15: {CONTRADICTED}"
    assert (content["adjustment"], content["known_from"], content["note"]) == ("none", None, f"As traded: {reason}.")
    rejected = get(api, "SPX", end="2024-03-14", adjustment="splits")
    assert (rejected.status_code, rejected.json()["detail"]) == (
        409,
        f"{reason}; adjustment=none gives prices as traded",
    )


def test_history_adjusted_for_splits_is_known_where_only_dividends_are_not(api: str) -> None:
    content = get(api, "DVC", adjustment="splits").json()
    assert (content["known_from"], content["note"], {row["close"] for row in content["data"]}) == (None, None, {50.0})


def test_the_page_has_a_row_for_each_case() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## The table")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)[1:]
    assert rows == [case.name for case in CASES]
