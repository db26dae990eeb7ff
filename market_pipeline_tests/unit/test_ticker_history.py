"""Ticker histories: the ticker of a day, the spans to request, and the file of manual ones."""

from datetime import date
from pathlib import Path

import pytest

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import AssetClass, Symbol, find_ticker_symbol
from market_pipeline.core.ticker_corrections import (
    COLUMNS,
    PACKAGED,
    TickerCorrectionsError,
    load_corrections,
)
from market_pipeline.core.ticker_history import TickerHistory, TickerPeriod, TickerSource
from market_pipeline.polygon.request_planning import RangeRequest, plan_requests

META = Symbol.of("META", "stock")
JUNE = list_sessions("XNYS", date(2022, 6, 1), date(2022, 6, 30))


def renamed(source: TickerSource, day: int = 9) -> TickerHistory:
    before = TickerPeriod("FB", date(2012, 5, 18), date(2022, 6, day - 1), source, certain=True)
    return TickerHistory((before, TickerPeriod("META", date(2022, 6, day), None, source, certain=True)))


def test_a_day_has_the_ticker_of_its_period_and_none_before_the_first() -> None:
    history = renamed(TickerSource.MANUAL)
    days = [date(2012, 5, 17), date(2012, 5, 18), date(2022, 6, 8), date(2022, 6, 9), date(2030, 1, 2)]
    assert [history.ticker_on(day) for day in days] == [None, "FB", "FB", "META", "META"]
    assert history.describe_change("FB") == "META since 2022-06-09"
    assert history.describe_change("META") is None


def test_sessions_are_requested_under_the_ticker_of_their_day() -> None:
    spans = renamed(TickerSource.MANUAL).spans(META, JUNE)
    assert [(span.ticker.name, span.sessions[0], span.sessions[-1]) for span in spans] == [
        ("FB", date(2022, 6, 1), date(2022, 6, 8)),
        ("META", date(2022, 6, 9), date(2022, 6, 30)),
    ]
    requests = plan_requests({span: span.sessions for span in spans}).requests
    assert len(requests) == 2
    assert all(isinstance(request, RangeRequest) for request in requests)


def test_around_a_change_that_the_vendor_dates_both_tickers_are_requested() -> None:
    spans = renamed(TickerSource.EVENTS).spans(META, JUNE)
    assert [(span.sessions[0], span.sessions[-1]) for span in spans] == [
        (date(2022, 6, 1), date(2022, 6, 15)),  # a week after
        (date(2022, 6, 2), date(2022, 6, 30)),  # a week before
    ]


@pytest.mark.parametrize("source", [TickerSource.EVENTS, TickerSource.MANUAL])
def test_splits_and_dividends_count_under_the_ticker_of_their_day_alone(source: TickerSource) -> None:
    history = renamed(source)
    last, change = date(2022, 6, 8), date(2022, 6, 9)
    near = [date(2022, 6, day) for day in range(1, 18)]
    assert [day for day in near if history.has_event("FB", day)] == [day for day in near if day <= last]
    assert [day for day in near if history.has_event("META", day)] == [day for day in near if day >= change]
    assert [day for day in near if history.is_first_day_after("FB", day)] == [change]
    assert not any(history.is_first_day_after("META", day) for day in near)


def test_a_security_that_has_ended_has_no_first_day_under_another_ticker() -> None:
    ended = TickerHistory((TickerPeriod("FB", None, date(2022, 6, 8), TickerSource.REFERENCE, certain=True),))
    assert not ended.is_first_day_after("FB", date(2022, 6, 9))
    assert not ended.has_event("FB", date(2022, 6, 9))


def test_a_symbol_of_which_nothing_is_known_is_requested_by_its_own_name() -> None:
    [span] = TickerHistory.assume(META).spans(META, JUNE)
    assert span.ticker is META
    assert span.sessions is JUNE  # shared by all symbols of a run


@pytest.mark.parametrize(("ticker", "kind"), [("BRK.B", "stock"), ("X:BTCUSD", "crypto")])
def test_a_vendors_ticker_is_a_symbol_of_its_own(ticker: str, kind: str) -> None:
    assert find_ticker_symbol(ticker, AssetClass(kind)).vendor_ticker == ticker


# --- manual histories


def test_the_packaged_file_knows_the_renamed_symbols_of_the_starting_set() -> None:
    corrections = load_corrections(None, packaged=True)
    facebook, block, trust = (corrections.find(ticker) for ticker in ("META", "SQ", "QQQ"))
    assert facebook is corrections.find("FB")
    assert facebook is not None
    assert facebook.history.ticker_on(date(2021, 12, 31)) == "FB"  # when META was a fund
    assert block is not None
    assert block.history.current.ticker == "XYZ"
    assert trust is not None
    assert [trust.history.ticker_on(date(year, 1, 3)) for year in (2004, 2005, 2011, 2012)] == [
        "QQQ", "QQQQ", "QQQQ", "QQQ",
    ]  # fmt: skip
    assert all(period.note for period in facebook.history.periods)


def write(folder: Path, *rows: str) -> Path:
    file = folder / "corrections.csv"
    file.write_text("\n".join(["# ours", ",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")
    return file


def test_a_users_file_takes_precedence_over_the_packaged_one(tmp_path: Path) -> None:
    file = write(
        tmp_path, "Facebook,stock,FB,2012-05-18,2022-06-07,Ann,a test,", "Facebook,stock,META,2022-06-08,,Ann,a test,"
    )
    found = load_corrections(file, packaged=True).find("META")
    assert found is not None
    assert found.history.current.first == date(2022, 6, 8)
    assert found.history.current.note == "Ann: a test"
    assert PACKAGED.is_file()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("A,stock,AB,2012-02-30,,Ann,why,", "line 3: first_day '2012-02-30' is not a date: write it as 2022-06-09"),
        ("A,stock,AB,2012-02-03,2011-01-01,Ann,why,", "line 3: first_day 2012-02-03 is after last_day 2011-01-01"),
        ("A,bond,AB,,,Ann,why,", "line 3: 'bond' is not a valid AssetClass"),
        ("A,stock,ab,,,Ann,why,", "line 3: 'ab' is not a stock ticker"),
        ("A,stock,AB,,,,why,", "line 3: the column who is empty"),
        ("A,stock,AB,,,Ann,,", "line 3: the column why is empty"),
        ("A,stock,AB", "line 3: it has 3 columns instead of 8"),
    ],
)
def test_a_wrong_row_is_an_error_that_names_its_line(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(TickerCorrectionsError) as caught:
        load_corrections(write(tmp_path, row), packaged=False)
    assert problem in str(caught.value)


def test_two_tickers_on_one_day_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    file = write(tmp_path, "A,stock,AB,,,Ann,why,", "A,stock,AC,2012-01-03,,Ann,why,")
    with pytest.raises(TickerCorrectionsError, match="A has the tickers AB and AC on one day: fix the days"):
        load_corrections(file, packaged=False)
    with pytest.raises(TickerCorrectionsError, match="can't be read: No such file"):
        load_corrections(tmp_path / "none.csv", packaged=False)
    (tmp_path / "other.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(TickerCorrectionsError, match="the first line is not the header"):
        load_corrections(tmp_path / "other.csv", packaged=False)
