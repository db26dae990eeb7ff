"""Which runs a backfill becomes."""

from datetime import UTC, date, datetime

import pytest

from market_pipeline.runs import NoSessionError, range_runs
from market_pipeline.symbols import Symbol

NOW = datetime(2024, 12, 2, 2, tzinfo=UTC)
AAPL, SPY, BTC = Symbol.of("AAPL", "stock"), Symbol.of("SPY", "etf"), Symbol.of("BTC", "crypto")


def test_any_symbols_of_a_calendar_are_one_run() -> None:
    runs = range_runs([AAPL, BTC, SPY], date(2024, 1, 1), date(2024, 1, 7), NOW)
    assert [(run.calendar, list(run.symbols), len(run.sessions)) for run in runs] == [
        ("24/7", [BTC], 7),
        ("XNYS", [AAPL, SPY], 4),
    ]


def test_a_run_ends_with_the_newest_session_that_is_over() -> None:
    [run] = range_runs([AAPL], date(2024, 11, 1), date(2030, 1, 1), NOW)
    assert run.sessions[-1] == date(2024, 11, 29)


def test_a_run_starts_no_earlier_than_the_calendar() -> None:
    [run] = range_runs([BTC], date(1990, 1, 1), date(2013, 11, 3), NOW)
    assert run.sessions == [date(2013, 11, 1), date(2013, 11, 2), date(2013, 11, 3)]


@pytest.mark.parametrize(
    ("start", "end"), [("2024-01-05", "2024-01-04"), ("2024-01-06", "2024-01-07"), ("2025-01-02", "2025-01-03")]
)
def test_dates_without_a_session_that_is_over_are_refused(start: str, end: str) -> None:
    with pytest.raises(NoSessionError):
        range_runs([AAPL], date.fromisoformat(start), date.fromisoformat(end), NOW)
