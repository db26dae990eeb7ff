"""Empty sessions and missing bars: a response without a bar is not always believed."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.empty_sessions import find_empty_sessions, find_ended_sessions
from market_pipeline.warehouse.load_history import LoadRequest

WEEK = list_sessions("XNYS", date(2024, 3, 4), date(2024, 3, 8))
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = WEEK
SATURDAY = date(2024, 3, 9)
LONG_AFTER = datetime(2024, 6, 1, tzinfo=UTC)


def request_for(*, at: datetime = LONG_AFTER, sessions: Sequence[date] = WEEK, **known: Any) -> LoadRequest:
    known = {"answered": (sessions[0], sessions[-1]), **known}
    return LoadRequest(Symbol.of("FB", "stock"), sessions, "polygon", "run-1", "cli", at, **known)


def test_sessions_before_between_and_after_the_bars_are_empty() -> None:
    assert find_empty_sessions(request_for(), [TUESDAY, THURSDAY], []) == {
        MONDAY: "before its first bar, of 2024-03-05",
        WEDNESDAY: "the vendor has no bar of it",
        FRIDAY: "the vendor has no bar of it",
    }


def test_a_bar_that_is_stored_outside_the_run_shows_that_the_symbol_trades() -> None:
    earlier, later = date(2024, 3, 1), date(2024, 3, 11)
    reasons = {"the vendor has no bar of it"}
    assert set(find_empty_sessions(request_for(), [earlier, later], []).values()) == reasons
    assert set(find_empty_sessions(request_for(), [later], []).values()) == {"before its first bar, of 2024-03-11"}


def test_a_session_without_a_response_of_the_vendor_is_missing() -> None:
    assert list(find_empty_sessions(request_for(answered=(TUESDAY, WEDNESDAY)), [], [])) == [TUESDAY, WEDNESDAY]
    assert find_empty_sessions(request_for(answered=None), [TUESDAY], []) == {}


@pytest.mark.parametrize(
    ("at", "believed"),
    [
        (datetime(2024, 3, 9, 2, tzinfo=UTC), [MONDAY]),  # the night after Friday
        (datetime(2024, 3, 14, 23, tzinfo=UTC), [MONDAY, WEDNESDAY]),
        (datetime(2024, 3, 15, tzinfo=UTC), [MONDAY, WEDNESDAY, THURSDAY]),
        (datetime(2024, 3, 16, tzinfo=UTC), [MONDAY, WEDNESDAY, THURSDAY, FRIDAY]),
    ],
)
def test_a_bar_may_be_late_for_a_week_unless_a_later_one_has_come(at: datetime, believed: list[date]) -> None:
    found = find_empty_sessions(request_for(at=at), [TUESDAY], [])
    assert [day for day in found if day > TUESDAY or day == MONDAY] == believed


@pytest.mark.parametrize(
    ("rejected", "empty"),
    [
        ([WEDNESDAY], [MONDAY, THURSDAY, FRIDAY]),
        ([None], []),  # it may be any session's
        ([SATURDAY], [MONDAY, WEDNESDAY, THURSDAY, FRIDAY]),  # not requested
        ([date(1994, 3, 9)], [MONDAY, WEDNESDAY, THURSDAY, FRIDAY]),
    ],
)
def test_a_session_whose_bar_was_rejected_is_missing(rejected: list[date | None], empty: list[date]) -> None:
    assert list(find_empty_sessions(request_for(), [TUESDAY], rejected)) == empty


def test_a_rejected_bar_of_a_day_without_session_may_be_of_either_neighbour() -> None:
    sessions = [*WEEK, *list_sessions("XNYS", date(2024, 3, 11), date(2024, 3, 12))]
    found = find_empty_sessions(request_for(sessions=sessions), [TUESDAY], [SATURDAY])
    assert list(found) == [MONDAY, WEDNESDAY, THURSDAY, date(2024, 3, 12)]


def test_a_symbol_that_was_listed_later_has_no_bar_yet() -> None:
    found = find_empty_sessions(request_for(listed_on=date(2024, 3, 18)), [], [])
    assert found == dict.fromkeys(WEEK, "before it was listed, on 2024-03-18")


def test_sessions_after_the_last_day_on_the_market_have_ended() -> None:
    delisted = request_for(delisted_on=WEDNESDAY, at=datetime.combine(SATURDAY, datetime.min.time(), UTC))
    assert find_ended_sessions(delisted) == dict.fromkeys(WEEK[3:], "after its last day on the market, 2024-03-06")
    assert not set(find_empty_sessions(delisted, [MONDAY, WEDNESDAY], [])) & set(WEEK[3:])
    assert find_ended_sessions(request_for()) == {}
    gone = request_for(delisted_on=MONDAY - timedelta(days=30))
    assert list(find_ended_sessions(gone)) == WEEK
    assert find_empty_sessions(gone, [], []) == {}
