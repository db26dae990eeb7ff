"""The view day_conditions: the condition of every session of a calendar, and when it last changed."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.loading import RejectedBar
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.integration.stored_bars import AAPL, load_failure, load_frame, query, recorded

IBM, BTC = Symbol.of("IBM", "stock"), Symbol.of("BTC", "crypto")
OCTOBER = list_sessions("XNYS", date(2012, 10, 1), date(2012, 10, 12))
FIRST, SECOND = OCTOBER[0], OCTOBER[1]
COUNTS = ("condition", "expected", "loaded", "missing", "awaited", "corrected", "empty")


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, IBM])


def conditions(warehouse: Engine, first: date = OCTOBER[0], last: date = OCTOBER[-1]) -> dict[date, tuple[Any, ...]]:
    """Return the conditions and numbers of New York's sessions, in order."""
    rows = query(
        warehouse,
        "SELECT * FROM day_conditions WHERE calendar = 'XNYS' AND date BETWEEN :first AND :last ORDER BY date",
        first=first,
        last=last,
    )
    return {row["date"]: tuple(row[name] for name in COUNTS) for row in rows}


def changed_at(warehouse: Engine, session: date) -> datetime | None:
    [row] = query(warehouse, "SELECT changed_at FROM day_conditions WHERE date = :day", day=session)
    found: datetime | None = row["changed_at"]
    return found


def point_of(warehouse: Engine, run_id: str) -> datetime:
    """Return the point of a run's last load."""
    point: datetime = query(warehouse, "SELECT max(point) AS p FROM loads WHERE run_id = :run", run=run_id)[0]["p"]
    return point


def october(symbol: Symbol, *without: date) -> Any:
    frame = recorded(symbol.name, OCTOBER[0], OCTOBER[-1])
    return frame[~frame["date"].dt.date.isin(without)].reset_index(drop=True)


def test_before_any_request_no_session_has_a_condition(warehouse: Engine) -> None:
    assert query(warehouse, "SELECT * FROM day_conditions") == []


def test_a_session_is_available_once_all_bars_are_there_since_the_last_of_their_loads(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, october(AAPL), run_id="run-1")
    assert set(conditions(warehouse).values()) == {("available", 1, 1, 0, 0, 0, 0)}  # nobody has requested IBM yet
    load_failure(warehouse, IBM, OCTOBER, "the vendor returned 500", run_id="run-2")
    assert set(conditions(warehouse).values()) == {("partly", 2, 1, 1, 0, 0, 0)}
    load_frame(warehouse, IBM, october(IBM), run_id="run-3")
    assert conditions(warehouse) == dict.fromkeys(OCTOBER, ("available", 2, 2, 0, 0, 0, 0))
    assert changed_at(warehouse, FIRST) == point_of(warehouse, "run-3") > point_of(warehouse, "run-1")
    load_frame(warehouse, IBM, october(IBM), run_id="run-4")
    assert changed_at(warehouse, FIRST) == point_of(warehouse, "run-3")  # equal bars change nothing


def test_a_session_is_corrected_once_a_bar_was_replaced(warehouse: Engine) -> None:
    for symbol in (AAPL, IBM):
        load_frame(warehouse, symbol, october(symbol))
    frame = october(AAPL)
    for run, close in (("run-2", 655.0), ("run-3", 656.0)):
        load_frame(warehouse, AAPL, frame.assign(close=frame["close"].where(frame.index != 1, close)), run_id=run)
    found = conditions(warehouse)
    assert found.pop(SECOND) == ("corrected", 2, 2, 0, 0, 1, 0)
    assert set(found.values()) == {("available", 2, 2, 0, 0, 0, 0)}
    assert changed_at(warehouse, SECOND) == point_of(warehouse, "run-3")
    assert changed_at(warehouse, FIRST) == point_of(warehouse, "run-1")


def test_a_bar_that_is_taken_out_changes_its_session(warehouse: Engine) -> None:
    for symbol in (AAPL, IBM):
        load_frame(warehouse, symbol, october(symbol))
    with warehouse.begin() as connection:
        connection.execute(text("DELETE FROM market_data WHERE symbol = 'AAPL' AND date = :day"), {"day": SECOND})
    # The vendor gave a bar, which was deleted by hand: it is missing, and a request may bring it again.
    assert conditions(warehouse)[SECOND] == ("partly", 2, 1, 1, 0, 0, 0)
    [settled] = query(warehouse, "SELECT settled_point() AS point")
    assert changed_at(warehouse, SECOND) == settled["point"] > point_of(warehouse, "run-1")
    load_frame(warehouse, AAPL, october(AAPL), run_id="run-2")
    assert conditions(warehouse)[SECOND] == ("corrected", 2, 2, 0, 0, 1, 0)


def test_a_session_without_a_bar_at_the_vendor_is_complete_without_it(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, october(AAPL))
    load_frame(warehouse, IBM, october(IBM, SECOND), sessions=OCTOBER)
    assert conditions(warehouse)[SECOND] == ("available", 1, 1, 0, 0, 0, 1)


def test_a_rejected_bar_leaves_its_session_partly_there(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, october(AAPL))
    rejected = RejectedBar(SECOND, ["high_too_low: its high is below its low"], {"h": 1})
    load_frame(warehouse, IBM, october(IBM, SECOND), sessions=OCTOBER, rejected=[rejected])
    assert conditions(warehouse)[SECOND] == ("partly", 2, 1, 1, 0, 0, 0)


def test_without_any_bar_a_session_is_missing_or_pending_if_the_plan_does_not_give_it_yet(warehouse: Engine) -> None:
    responses = (OCTOBER[0], OCTOBER[-2])
    for symbol in (AAPL, IBM):
        load_frame(warehouse, symbol, october(symbol, OCTOBER[-1]), sessions=OCTOBER, answered=responses)
    assert conditions(warehouse)[OCTOBER[-1]] == ("pending", 2, 0, 2, 2, 0, 0)
    load_failure(warehouse, IBM, OCTOBER[-1:], "the vendor returned 500", run_id="run-2")
    assert conditions(warehouse)[OCTOBER[-1]] == ("pending", 2, 0, 2, 1, 0, 0)
    load_failure(warehouse, AAPL, OCTOBER[-1:], "the vendor returned 500", run_id="run-2")
    assert conditions(warehouse)[OCTOBER[-1]] == ("missing", 2, 0, 2, 0, 0, 0)
    assert changed_at(warehouse, OCTOBER[-1]) is None
    load_frame(warehouse, AAPL, october(AAPL), run_id="run-3")
    assert conditions(warehouse)[OCTOBER[-1]] == ("partly", 2, 1, 1, 0, 0, 0)


def test_a_session_that_was_not_requested_is_pending_while_recent_and_missing_later(warehouse: Engine) -> None:
    add_symbols(warehouse, [BTC])
    [now] = query(warehouse, "SELECT (now() AT TIME ZONE 'UTC')::date AS today")
    today = now["today"]
    load_failure(warehouse, BTC, [today - timedelta(days=3)], "the vendor returned 500")
    rows = query(warehouse, "SELECT * FROM day_conditions WHERE calendar = '24/7' ORDER BY date DESC")
    assert {row["date"]: tuple(row[name] for name in COUNTS) for row in rows} == {
        today: ("pending", 1, 0, 1, 1, 0, 0),
        today - timedelta(days=1): ("pending", 1, 0, 1, 1, 0, 0),
        today - timedelta(days=2): ("missing", 1, 0, 1, 0, 0, 0),
        today - timedelta(days=3): ("missing", 1, 0, 1, 0, 0, 0),
    }


def test_a_symbol_counts_from_its_first_bar_to_its_delisting_and_while_it_is_tracked(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, october(AAPL))
    load_frame(warehouse, IBM, october(IBM, FIRST)[:4], sessions=OCTOBER[:5])
    with warehouse.begin() as connection:
        connection.execute(
            text("UPDATE tracked_symbols SET delisted_on = :day WHERE symbol = 'IBM'"), {"day": OCTOBER[5]}
        )
    one, two = ("available", 1, 1, 0, 0, 0, 0), ("available", 2, 2, 0, 0, 0, 0)
    partly = ("partly", 2, 1, 1, 0, 0, 0)
    assert list(conditions(warehouse).values()) == [one, *4 * [two], partly, *4 * [one]]
    remove_symbol(warehouse, "IBM")
    assert set(conditions(warehouse).values()) == {one}


def test_the_numbers_are_those_of_session_states(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, october(AAPL, OCTOBER[3]), sessions=OCTOBER)
    load_frame(warehouse, IBM, october(IBM)[4:7])
    load_failure(warehouse, IBM, OCTOBER[:2], "the vendor returned 500", run_id="run-2")
    counted = query(
        warehouse,
        "SELECT calendar, date, count(*) FILTER (WHERE state <> 'empty') AS expected, "
        "count(*) FILTER (WHERE state = 'loaded') AS loaded, count(*) FILTER (WHERE state = 'empty') AS empty "
        "FROM session_states GROUP BY calendar, date ORDER BY calendar, date",
    )
    shown = query(
        warehouse,
        "SELECT calendar, date, expected, loaded, empty FROM day_conditions "
        "WHERE date < (now() AT TIME ZONE 'UTC')::date ORDER BY calendar, date",
    )
    assert shown == counted
