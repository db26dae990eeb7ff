"""Sessions of the calendars, checked against the exchange's published closures."""

import json
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

import exchange_calendars
import pandas as pd
import pytest
from bokeh_sampledata import stocks

from market_pipeline.core.sessions import (
    CLOSURES_FILE,
    LAST_RECORDED_YEAR,
    UnknownCalendarError,
    compute_session_start,
    compute_session_starts,
    find_calendar,
    find_newest_ended_session,
    list_holidays,
    list_sessions,
    read_closures,
)


@pytest.mark.parametrize("name", ["AAPL", "IBM", "MSFT", "GOOG", "FB"])
def test_recorded_stocks_traded_on_exactly_the_sessions(name: str) -> None:
    traded = [date.fromisoformat(day) for day in getattr(stocks, name)["date"]]
    assert list_sessions("XNYS", traded[0], traded[-1]) == traded


@pytest.mark.parametrize(
    "closed", ["2001-09-11", "2012-10-29", "2012-10-30", "2018-12-05", "2025-01-09", "2024-03-29", "2024-11-28"]
)
def test_the_exchange_has_no_session_on_a_day_it_was_closed(closed: str) -> None:
    day = date.fromisoformat(closed)
    assert list_sessions("XNYS", day, day) == []
    assert list_holidays("XNYS", day, day) == [day]


@pytest.mark.parametrize("name", ["XNYS", "24/7"])
def test_the_sessions_are_those_of_the_installed_library(name: str) -> None:
    first, last = find_calendar(name).first_session, date(LAST_RECORDED_YEAR, 12, 31)
    by_library = exchange_calendars.get_calendar(name, start=str(first), end=str(last)).sessions
    assert list_sessions(name, first, last) == list(by_library.date)


def test_the_recorded_closures_are_of_the_installed_library() -> None:
    # If not, they are worked out anew in every process: run `python -m market_pipeline.core.sessions`.
    assert json.loads(CLOSURES_FILE.read_text(encoding="utf-8"))["exchange_calendars"] == version("exchange_calendars")


def test_a_library_of_another_version_is_used_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outdated = tmp_path / "closures.json"
    outdated.write_text(json.dumps({"exchange_calendars": "0", "closures": ["2024-01-02"]}), encoding="utf-8")
    monkeypatch.setattr("market_pipeline.core.sessions.CLOSURES_FILE", outdated)
    found = read_closures.__wrapped__(2029)
    assert date(2025, 1, 9) in found
    assert date(2024, 1, 2) not in found


def test_crypto_has_a_session_every_day() -> None:
    assert len(list_sessions("24/7", date(2024, 1, 1), date(2024, 12, 31))) == 366


def test_there_is_no_session_in_a_range_that_ends_before_it_starts() -> None:
    assert list_sessions("XNYS", date(2024, 1, 5), date(2024, 1, 4)) == []


def test_a_session_begins_at_midnight_of_its_own_time_zone() -> None:
    sessions = pd.DatetimeIndex(["2005-04-01", "2005-04-04"])  # daylight saving began between them
    milliseconds = compute_session_starts("XNYS", sessions).as_unit("ms").asi8.tolist()
    assert milliseconds == [1112331600000, 1112587200000]  # as the vendor stamped AAPL's bars of these days
    assert compute_session_starts("24/7", sessions[:1])[0] == pd.Timestamp("2005-04-01", tz="UTC")
    assert [compute_session_start("XNYS", day.date()) for day in sessions] == list(
        compute_session_starts("XNYS", sessions)
    )
    assert compute_session_start("24/7", date(2005, 4, 1)) == datetime(2005, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "now", "latest"),
    [
        ("XNYS", "2024-11-29 23:59", "2024-11-27"),  # the day after Thanksgiving trades, and isn't over yet in UTC
        ("XNYS", "2024-11-30 00:00", "2024-11-29"),
        ("XNYS", "2024-12-02 02:00", "2024-11-29"),  # Monday morning: Friday
        ("24/7", "2024-12-02 02:00", "2024-12-01"),
    ],
)
def test_a_session_is_over_once_its_date_has_passed_in_utc(name: str, now: str, latest: str) -> None:
    instant = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert find_newest_ended_session(name, instant) == date.fromisoformat(latest)


def test_an_unknown_calendar_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UnknownCalendarError, match="XNYS"):
        list_sessions("NYSE", date(2024, 1, 1), date(2024, 1, 2))
