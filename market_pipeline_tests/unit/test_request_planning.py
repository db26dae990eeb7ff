"""Request planning: every bar is fetched, in the fewest possible requests."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.request_planning import (
    GroupedRequest,
    RangeRequest,
    RequestPlan,
    estimate_wait,
    plan_requests,
)

Wanted = Mapping[Symbol, Collection[date]]

DAYS = [date(2024, 1, 1) + timedelta(days=number) for number in range(1300)]
SYMBOLS = [Symbol.of(f"S{number}", "stock") for number in range(600)]


def rectangle(symbols: int, sessions: int) -> Wanted:
    return dict.fromkeys(SYMBOLS[:symbols], DAYS[:sessions])


def kinds(plan: RequestPlan[Symbol]) -> Counter[str]:
    return Counter(type(request).__name__ for request in plan.requests)


@pytest.mark.parametrize(
    ("symbols", "sessions", "ranges", "grouped"),
    [(60, 5, 0, 5), (60, 1258, 60, 0), (1, 5, 1, 0), (5, 1, 0, 1), (1, 1, 1, 0), (7, 7, 7, 0), (500, 1258, 500, 0)],
)
def test_a_rectangle_is_fetched_along_its_shorter_side(symbols: int, sessions: int, ranges: int, grouped: int) -> None:
    plan = plan_requests(rectangle(symbols, sessions))
    assert kinds(plan) == Counter(RangeRequest=ranges, GroupedRequest=grouped)


def test_a_new_symbol_among_many_up_to_date_ones_costs_one_request_more() -> None:
    wanted = {**rectangle(60, 3), SYMBOLS[60]: DAYS[:1258]}
    plan = plan_requests(wanted)
    assert kinds(plan) == Counter(RangeRequest=1, GroupedRequest=3)
    assert RangeRequest(SYMBOLS[60], DAYS[0], DAYS[1257]) in plan.requests


def test_a_range_reaches_from_the_first_to_the_last_wanted_session() -> None:
    plan = plan_requests({SYMBOLS[0]: {DAYS[9], DAYS[2], DAYS[5]}})
    assert plan.requests == (RangeRequest(SYMBOLS[0], DAYS[2], DAYS[9]),)


def test_grouped_requests_name_the_calendar() -> None:
    wanted = {Symbol.of(name, "crypto"): [DAYS[0]] for name in ("BTC", "ETH")}
    assert plan_requests(wanted).requests == (GroupedRequest("24/7", DAYS[0]),)


@pytest.mark.parametrize("wanted", [{}, {SYMBOLS[0]: []}])
def test_no_sessions_need_no_requests(wanted: Wanted) -> None:
    plan = plan_requests(wanted)
    assert plan.requests == ()


def test_two_calendars_can_not_be_planned_together() -> None:
    with pytest.raises(UsageError, match="24/7, XNYS"):
        plan_requests({Symbol.of("BTC", "crypto"): [DAYS[0]], Symbol.of("SPY", "etf"): [DAYS[0]]})


def test_the_estimate_counts_the_windows_to_wait_for() -> None:
    assert [estimate_wait(requests, 5) for requests in (0, 5, 6, 60)] == [0, 0, 61, 11 * 61]


ragged = st.dictionaries(
    st.sampled_from(SYMBOLS[:7]), st.sets(st.sampled_from(DAYS[:7]), max_size=7), max_size=7
)  # fmt: skip


def brings(plan: RequestPlan[Symbol], symbol: Symbol, day: date) -> bool:
    return any(
        request.symbol == symbol and request.start <= day <= request.end
        if isinstance(request, RangeRequest)
        else request.session == day
        for request in plan.requests
    )


@given(ragged)
def test_every_wanted_bar_is_brought(wanted: Wanted) -> None:
    plan = plan_requests(wanted)
    assert all(brings(plan, symbol, day) for symbol, days in wanted.items() for day in days)


@given(ragged)
def test_a_symbol_with_a_range_needs_no_grouped_request(wanted: Wanted) -> None:
    ranges = [request for request in plan_requests(wanted).requests if isinstance(request, RangeRequest)]
    assert all(
        (request.start, request.end) == (min(wanted[request.symbol]), max(wanted[request.symbol])) for request in ranges
    )
    assert len({request.symbol for request in ranges}) == len(ranges)


def fewest(wanted: Wanted) -> tuple[int, int]:
    """Find the fewest requests, and then the fewest grouped ones, by trying all plans."""
    days = sorted({day for sessions in wanted.values() for day in sessions})
    choices = [set(chosen) for count in range(len(days) + 1) for chosen in combinations(days, count)]
    return min(
        (len(chosen) + sum(not set(sessions) <= chosen for sessions in wanted.values()), len(chosen))
        for chosen in choices
    )


@settings(max_examples=300)
@given(ragged)
def test_no_plan_has_fewer_requests_nor_as_few_with_fewer_grouped_ones(wanted: Wanted) -> None:
    plan = plan_requests(wanted)
    assert (len(plan.requests), kinds(plan)["GroupedRequest"]) == fewest(wanted)


@given(st.lists(st.sets(st.integers(0, 199), max_size=3), max_size=200))
def test_many_scattered_gaps_take_no_more_requests_than_either_way_alone(gaps: list[set[int]]) -> None:
    wanted = {symbol: {DAYS[day] for day in days} for symbol, days in zip(SYMBOLS, gaps, strict=False)}
    symbols = sum(1 for days in wanted.values() if days)
    sessions = len({day for days in wanted.values() for day in days})
    plan = plan_requests(wanted)
    assert len(plan.requests) <= min(symbols, sessions)
    assert all(brings(plan, symbol, day) for symbol, days in wanted.items() for day in days)
