"""Runs of a backfill and of a night."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.core.run_planning import Gap, RangeRun, plan_missing_runs, plan_nightly_runs, plan_range_runs
from market_pipeline.core.sessions import NoSessionError, list_last_sessions
from market_pipeline.core.symbols import Symbol

NOW = datetime(2024, 12, 2, 2, tzinfo=UTC)
AAPL, SPY, BTC = Symbol.of("AAPL", "stock"), Symbol.of("SPY", "etf"), Symbol.of("BTC", "crypto")


def test_any_symbols_of_a_calendar_are_one_run() -> None:
    runs = plan_range_runs([AAPL, BTC, SPY], date(2024, 1, 1), date(2024, 1, 7), NOW)
    assert [(run.calendar, list(run.symbols), len(run.sessions)) for run in runs] == [
        ("24/7", [BTC], 7),
        ("XNYS", [AAPL, SPY], 4),
    ]


def test_a_run_ends_with_the_newest_session_that_is_over() -> None:
    [run] = plan_range_runs([AAPL], date(2024, 11, 1), date(2030, 1, 1), NOW)
    assert run.sessions[-1] == date(2024, 11, 29)


def test_a_run_starts_no_earlier_than_the_calendar() -> None:
    [run] = plan_range_runs([BTC], date(1990, 1, 1), date(2013, 11, 3), NOW)
    assert run.sessions == [date(2013, 11, 1), date(2013, 11, 2), date(2013, 11, 3)]


@pytest.mark.parametrize(
    ("start", "end"), [("2024-01-05", "2024-01-04"), ("2024-01-06", "2024-01-07"), ("2025-01-02", "2025-01-03")]
)
def test_dates_without_a_session_that_is_over_are_rejected(start: str, end: str) -> None:
    with pytest.raises(NoSessionError):
        plan_range_runs([AAPL], date.fromisoformat(start), date.fromisoformat(end), NOW)


def test_symbols_missing_about_the_same_share_a_run() -> None:
    msft = Symbol.of("MSFT", "stock")
    spans = {
        AAPL: (date(2024, 1, 3), date(2024, 3, 8)),
        SPY: (date(2024, 1, 2), date(2024, 3, 6)),
        msft: (date(2019, 1, 2), date(2024, 3, 6)),
        BTC: (date(2024, 1, 6), date(2024, 1, 6)),
    }
    runs = {tuple(run.symbols): (run.calendar, run.sessions[0], run.sessions[-1]) for run in plan_missing_runs(spans)}
    assert runs == {
        (AAPL, SPY): ("XNYS", date(2024, 1, 2), date(2024, 3, 8)),
        (msft,): ("XNYS", date(2019, 1, 2), date(2024, 3, 6)),
        (BTC,): ("24/7", date(2024, 1, 6), date(2024, 1, 6)),
    }


FRIDAY = date(2024, 11, 29)
RECENT = list_last_sessions("XNYS", FRIDAY, 260)
MANY = [Symbol.of(name, "stock") for name in ("A", "B", "C", "D", "E", "F")]


def night(oldest: Mapping[str, date], first_bar: date | None = RECENT[0], reach_back: int = 260) -> list[RangeRun]:
    gaps = {name: Gap(day, first_bar) for name, day in oldest.items()}
    return plan_nightly_runs(MANY, gaps, FRIDAY, look_back=5, reach_back=reach_back)


@pytest.mark.parametrize("gaps", [{}, {symbol.name: FRIDAY for symbol in MANY}])
def test_a_night_after_a_good_one_is_one_run_of_the_last_sessions(gaps: Mapping[str, date]) -> None:
    assert night(gaps) == [RangeRun("XNYS", MANY, [date(2024, 11, day) for day in (22, 25, 26, 27, 29)])]


def test_a_night_after_nine_days_without_one_covers_them_and_the_sessions_to_fetch_again() -> None:
    [run] = night({symbol.name: RECENT[-6] for symbol in MANY})  # the sessions from Friday 21 to Friday 29
    assert run.sessions == RECENT[-10:]


def test_a_symbol_with_older_missing_sessions_has_its_own_run() -> None:
    runs = night({"A": RECENT[-40], "B": RECENT[-100]})
    assert [(run.symbols, len(run.sessions)) for run in runs] == [(MANY[2:], 5), ([MANY[0]], 44), ([MANY[1]], 104)]


def test_symbols_that_reach_about_as_far_share_a_run() -> None:
    runs = night({"A": RECENT[-30], "B": RECENT[-34]})
    assert [(run.symbols, len(run.sessions)) for run in runs] == [(MANY[2:], 5), (MANY[:2], 38)]


def test_sessions_before_a_symbols_first_bar_are_not_fetched_again() -> None:
    assert [len(run.sessions) for run in night({"A": RECENT[-9]}, first_bar=None)] == [5, 9]
    assert [len(run.sessions) for run in night({"A": RECENT[-9]}, first_bar=RECENT[-11])] == [5, 11]


def test_a_night_reaches_no_further_back_than_it_may() -> None:
    assert [len(run.sessions) for run in night({"A": RECENT[0]})] == [5, 260]
    assert [len(run.sessions) for run in night({"A": RECENT[-9]}, reach_back=10)] == [5, 10]


def test_a_crypto_night_covers_weekends() -> None:
    [run] = plan_nightly_runs([BTC], {}, date(2024, 12, 1), look_back=3, reach_back=260)
    assert run.sessions == [date(2024, 11, 29), date(2024, 11, 30), date(2024, 12, 1)]


@given(st.dictionaries(st.sampled_from([symbol.name for symbol in MANY]), st.sampled_from(RECENT)))
def test_every_symbol_is_in_one_run_which_reaches_far_enough_and_not_much_further(gaps: dict[str, date]) -> None:
    runs = night(gaps)
    assert sorted(symbol for run in runs for symbol in run.symbols) == MANY
    assert len(runs) <= 7  # 5, 10, 20, 40, 80, 160 and 260 sessions
    for run in runs:
        assert run.sessions[-1] == FRIDAY
        for symbol in run.symbols:
            missed = sum(day >= gaps.get(symbol.name, FRIDAY) for day in RECENT)
            assert min(missed + 4, 260) <= len(run.sessions) < 2 * (missed + 4 + 5)
