"""Planning of a market's sessions: grouped requests or flat files."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.core.markets import Origin
from market_pipeline.polygon.market_planning import count_free_requests, needs_files, plan_market

DAYS = [date(2024, 1, 1) + timedelta(number) for number in range(60)]
SESSIONS = st.sets(st.sampled_from(DAYS), min_size=1).map(sorted)
SOME = st.sets(st.sampled_from(DAYS))


def grouped(sessions: list[date], published: set[date], free: int, from_files: set[date] | None = None) -> list[date]:
    planned = plan_market(sessions, published, free, from_files or set())
    assert [plan.session for plan in planned] == sessions
    return [plan.session for plan in planned if plan.origin is Origin.GROUPED]


@given(SESSIONS, SOME, st.integers(0, 70), SOME)
def test_a_session_is_grouped_only_without_a_file_or_for_free(
    sessions: list[date], published: set[date], free: int, from_files: set[date]
) -> None:
    chosen = grouped(sessions, published, free, from_files)
    without_file = [day for day in sessions if day not in published]
    assert set(without_file) <= set(chosen)
    assert len(chosen) <= max(free, len(without_file))
    assert not set(chosen) & set(from_files) & published
    spared = [day for day in chosen if day in published]
    free_of_choice = [day for day in sessions if day in published and day not in from_files]
    assert spared == free_of_choice[len(free_of_choice) - len(spared) :]  # the newest
    assert len(chosen) >= min(free, len(set(sessions) - (from_files & published)))  # nothing free is left unused


@given(SESSIONS, SOME, st.integers(1, 70), SOME)
def test_files_that_are_not_listed_would_not_change_the_plan(
    sessions: list[date], published: set[date], free: int, from_files: set[date]
) -> None:
    if not needs_files(sessions, free, from_files):
        assert grouped(sessions, published, free, from_files) == sessions


def test_without_keys_all_are_grouped() -> None:
    assert grouped(DAYS, set(), 5) == DAYS


def test_a_history_comes_from_files_but_for_its_newest_sessions() -> None:
    assert grouped(DAYS, set(DAYS), 5) == DAYS[-5:]
    assert grouped(DAYS, set(DAYS[:-1]), 5) == DAYS[-5:]
    assert grouped(DAYS, set(DAYS[1:]), 5) == [DAYS[0], *DAYS[-4:]]


def test_a_night_is_grouped_and_a_replaced_file_read_again() -> None:
    assert grouped(DAYS[-5:], set(DAYS), 5) == DAYS[-5:]
    assert grouped(DAYS[-5:], set(DAYS), 5, {DAYS[-4]}) == [DAYS[-5], *DAYS[-3:]]


def test_an_unlimited_plan_requests_no_more_than_a_month() -> None:
    assert (count_free_requests(5), count_free_requests(5_000)) == (5, 25)
