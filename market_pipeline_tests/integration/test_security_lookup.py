"""Look-ups of ticker histories: their requests, and the histories that follow from the responses."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_corrections import load_corrections
from market_pipeline.core.ticker_history import TickerHistory, TickerPeriod, TickerSource
from market_pipeline.ingest import Run, ingest
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.security_lookup import look_up
from market_pipeline.series_vendor import SecurityLookups, SeriesVendor
from market_pipeline.warehouse.securities import SecurityFacts, SecurityRecord
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.corporate_action_cases import listing
from market_pipeline_tests.integration.polygon_cases import client_of, error_reply
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

META, GOOG = Symbol.of("META", "stock"), Symbol.of("GOOG", "stock")
ADDED = date(2026, 3, 2)
FACEBOOK = {"composite_figi": "BBG000MM2P62", "cik": "0001326801"}


def events(*changes: tuple[str, str], name: str = "Meta Platforms, Inc.", **facts: str) -> Reply:
    listed = [{"ticker_change": {"ticker": ticker}, "type": "ticker_change", "date": day} for ticker, day in changes]
    return Reply({"status": "OK", "request_id": "1", "results": {"name": name, **facts, "events": listed}})


def find(symbol: Symbol, *replies: Reply, record: SecurityRecord | None = None, thorough: bool = False) -> Any:
    """Look a symbol up with these replies, all of which it requests."""
    with scripted_vendor(*replies) as vendor, client_of(vendor) as client:
        finding = look_up(client, record or SecurityRecord.assume(symbol, ADDED), thorough=thorough)
        assert not vendor.replies
    return finding


def test_the_vendors_events_make_the_history_once_nobody_else_had_the_first_ticker() -> None:
    changes = (("META", "2022-06-09"), ("FB", "2012-05-18"))
    finding = find(META, events(*changes, **FACEBOOK), listing())
    assert finding.history.periods == (
        TickerPeriod("FB", date(2012, 5, 18), date(2022, 6, 8), TickerSource.EVENTS, certain=True),
        TickerPeriod("META", date(2022, 6, 9), None, TickerSource.EVENTS, certain=True),
    )
    assert (finding.facts.composite_figi, finding.facts.cik) == ("BBG000MM2P62", "0001326801")


def test_of_two_events_on_one_day_the_last_counts() -> None:
    changes = (("FB", "2012-05-18"), ("MVRS", "2022-06-09"), ("META", "2022-06-09"))
    finding = find(META, events(*changes, **FACEBOOK), listing())
    assert [period.ticker for period in finding.history.periods] == ["FB", "META"]
    assert finding.history.current.first == date(2022, 6, 9)


def test_a_first_day_that_is_only_where_the_vendors_events_begin_cuts_nothing_off() -> None:
    earlier = {"ticker": "GOOG", "name": "Alphabet Inc.", "active": True, "composite_figi": "BBG1"}
    finding = find(GOOG, events(("GOOG", "2015-10-05"), name="Alphabet", composite_figi="BBG1"), listing(earlier))
    [period] = finding.history.periods
    assert (period.first, period.source, period.certain) == (None, TickerSource.REFERENCE, True)
    other = {**earlier, "composite_figi": "BBG2"}
    [cut] = find(GOOG, events(("GOOG", "2015-10-05"), composite_figi="BBG1"), listing(other)).history.periods
    assert (cut.first, cut.certain) == (date(2015, 10, 5), True)


def test_a_first_day_that_could_not_be_checked_is_not_certain() -> None:
    finding = find(
        GOOG, events(("GOOG", "2015-10-05")), error_reply(403, "Your plan doesn't include this data timeframe.")
    )
    [period] = finding.history.periods
    assert (period.first, period.certain) == (date(2015, 10, 5), False)
    assert "isn't confirmed" in str(period.note)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("GOOGL", "2026-10-15"), ("GOOG", "2026-10-15")], [("GOOG", date(2026, 10, 15), None)]),
        (
            [("GOOGL", "2020-01-02"), ("GOOGL", "2026-10-15"), ("GOOG", "2026-10-15")],
            [("GOOGL", date(2020, 1, 2), date(2026, 10, 14)), ("GOOG", date(2026, 10, 15), None)],
        ),
        (
            [("OLD", "2020-01-02"), ("GOOGL", "2026-10-15"), ("GOOG", "2026-10-15")],
            [("OLD", date(2020, 1, 2), date(2026, 10, 14)), ("GOOG", date(2026, 10, 15), None)],
        ),
        (
            [("GOOG", "2020-01-02"), ("GOOGL", "2026-10-15"), ("GOOG", "2026-10-15")],
            [("GOOG", date(2020, 1, 2), None)],
        ),
    ],
)
def test_a_history_ends_with_the_present_ticker_after_events_on_one_day(
    changes: list[tuple[str, str]], expected: list[Any]
) -> None:
    record = SecurityRecord.assume(GOOG, date(2026, 11, 2))
    history = find(GOOG, events(*changes), listing(), record=record).history
    assert [(period.ticker, period.first, period.last) for period in history.periods] == expected


@pytest.mark.parametrize(
    "reply",
    [
        error_reply(403, "You are not entitled to this data."),
        events(),
        events(("OTHER", "2012-05-18")),
        events(("../X", "2010-01-04"), ("GOOG", "2012-05-18")),
    ],
)
def test_without_usable_events_the_history_stays_assumed(reply: Reply) -> None:
    finding = find(GOOG, reply)
    assert finding.history == TickerHistory.assume(GOOG)
    assert not finding.history.current.certain


def test_a_ticker_that_another_security_has_taken_ends_the_series() -> None:
    facts = SecurityFacts(name="Old Company", composite_figi="BBG1")
    record = SecurityRecord(GOOG, facts, TickerHistory.assume(GOOG), ADDED, checked_at=None, ended=False)
    finding = find(GOOG, events(("GOOG", "2026-05-04"), name="New Company", composite_figi="BBG2"), record=record)
    assert finding.facts == facts
    [period] = finding.history.periods
    assert (period.last, period.note) == (date(2026, 5, 3), "GOOG is another security's since 2026-05-04")


def test_a_company_with_a_new_figi_and_its_own_name_is_the_same() -> None:
    facts = SecurityFacts(name="Alphabet Inc.", composite_figi="BBG1")
    record = SecurityRecord(GOOG, facts, TickerHistory.assume(GOOG), ADDED, checked_at=None, ended=False)
    renewed = events(("GOOG", "2003-09-10"), name="ALPHABET INC.", composite_figi="BBG2")
    assert find(GOOG, renewed, record=record).history.current.last is None


def test_the_packaged_history_of_meta_takes_no_look_up(warehouse: Engine) -> None:
    sessions = list_sessions("XNYS", date(2022, 6, 8), date(2022, 6, 9))
    replies = [
        Reply({"ticker": ticker, "adjusted": False, "status": "OK", "request_id": "1", "results": [
            {"v": 1e7, "o": 190, "c": 191, "h": 192, "l": 189, "t": start}
        ]})
        for ticker, start in (("FB", 1654660800000), ("META", 1654747200000))  # midnight in New York
    ]  # fmt: skip
    add_symbols(warehouse, [META])
    with scripted_vendor(*replies) as vendor, client_of(vendor) as client:
        lookups = SecurityLookups(client, warehouse, load_corrections(None, packaged=True), "run-1")
        histories = lookups.prepare([META], sessions, nightly=False)
        fetcher = Fetcher(client, [META], sessions, datetime(2026, 3, 2, tzinfo=UTC), None, histories)
        [[result]] = ingest(
            [META], sessions, vendor=SeriesVendor(fetcher, lookups), fetch_reference=lookups.fetch_reference,
            delisted={}, warehouse=warehouse, run=Run("run-1", "cli"),
        )  # fmt: skip
        assert [path.partition("?")[0] for path in vendor.paths] == [
            "/v2/aggs/ticker/FB/range/1/day/2022-06-08/2022-06-08",
            "/v2/aggs/ticker/META/range/1/day/2022-06-09/2022-06-09",
        ]
    assert (result.loaded, result.missing) == (2, 0)
