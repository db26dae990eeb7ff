"""Runs planned for a piece of work: a backfill of some dates, a backfill of missing sessions, or a night.

A run covers sessions that are over, of symbols of one calendar. `ingest` executes it.
"""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from market_pipeline.core.sessions import (
    NoSessionError,
    check_order,
    find_calendar,
    find_newest_ended_session,
    list_last_sessions,
    list_sessions,
)
from market_pipeline.core.symbols import Symbol

TRIGGER_TAG = "market_pipeline/trigger"
"""The tag that names the trigger of a run that Dagster didn't start itself."""


SCHEDULE = "schedule"
"""The trigger of a nightly run."""

SCOPE_TAG = "market_pipeline/sessions"
"""The tag of a market's run with the sessions to load, one of `MarketScope`; without it, all of the range."""


class MarketScope(StrEnum):
    """The sessions that a market's run loads, of those in its range."""

    ALL = "all"
    MISSING = "missing"
    """Those that are not stored whole."""
    NIGHT = "night"
    """The newest, which the vendor still corrects, those that are not stored whole, and those whose file changed."""


def find_trigger(tags: Mapping[str, str]) -> str:
    """Return what started a run with these tags: cli, schedule, api, backfill (from the UI) or manual."""
    if TRIGGER_TAG in tags:
        return tags[TRIGGER_TAG]
    if "dagster/schedule_name" in tags:
        return SCHEDULE
    return "backfill" if "dagster/backfill" in tags else "manual"


@dataclass(frozen=True)
class RangeRun:
    """One run to launch: some symbols of one calendar over a range of its sessions, oldest first."""

    calendar: str
    symbols: Sequence[Symbol]
    sessions: Sequence[date]


DEFAULT_DAYS = 1825
"""Length of a backfill without a start: five years."""


def choose_dates(start: date | None, end: date | None, today: date, *, missing: bool) -> tuple[date, date]:
    """Return a backfill's first and last date: by default five years up to today, or any date for missing sessions.

    Raises:
        NoSessionError: `start` is after `end`, or in the future.
    """
    if start is not None and end is None and start > today:
        raise NoSessionError(f"the start {start} is in the future: today is {today} in UTC. Choose an earlier --start")
    last = end or today
    first = start or (date.min if missing else last - timedelta(days=DEFAULT_DAYS))
    check_order(first, last)
    return first, last


def plan_range_runs(symbols: Sequence[Symbol], start: date, end: date, now: datetime) -> list[RangeRun]:
    """Plan the runs that cover these symbols from `start` to `end`, as far as sessions are over at `now`.

    Raises:
        NoSessionError: `start` is after `end`, or a calendar has no session that is over between them.
    """
    return [
        RangeRun(name, [symbol for symbol in symbols if symbol.calendar == name], plan_sessions(name, start, end, now))
        for name in sorted({symbol.calendar for symbol in symbols})
    ]


def plan_sessions(calendar_name: str, start: date, end: date, now: datetime) -> list[date]:
    """Return a calendar's sessions from `start` to `end` that are over at `now`, oldest first.

    Raises:
        NoSessionError: `start` is after `end`, or there is none.
    """
    check_order(start, end)
    latest = find_newest_ended_session(calendar_name, now)
    first = max(start, find_calendar(calendar_name).first_session)
    sessions = list_sessions(calendar_name, first, min(end, latest)) if latest else []
    if not sessions:
        raise NoSessionError(
            f"the calendar {calendar_name} has no session that is over between {start} and {end} (its first is "
            f"{find_calendar(calendar_name).first_session}, the newest that is over {latest}): widen --start and --end"
        )
    return sessions


def plan_missing_runs(spans: Mapping[Symbol, tuple[date, date]]) -> list[RangeRun]:
    """Plan runs for each symbol's span; symbols whose spans begin and end in the same months share a run.

    Args:
        spans: the first and the last session to fetch of each symbol.
    """
    groups: defaultdict[tuple[str, date, date], list[Symbol]] = defaultdict(list)
    for symbol, (first, last) in spans.items():
        groups[symbol.calendar, first.replace(day=1), last.replace(day=1)].append(symbol)
    runs = []
    for (name, _, _), symbols in sorted(groups.items()):
        first = min(spans[symbol][0] for symbol in symbols)
        last = max(spans[symbol][1] for symbol in symbols)
        runs.append(RangeRun(name, symbols, list_sessions(name, first, last)))
    return runs


@dataclass(frozen=True)
class Gap:
    """A symbol's oldest missing session that should be fetched, and its first bar, if it has any."""

    oldest: date
    first_bar: date | None


def plan_nightly_runs(
    symbols: Sequence[Symbol], gaps: Mapping[str, Gap], latest: date, *, look_back: int, reach_back: int
) -> list[RangeRun]:
    """Plan tonight's runs of one calendar's symbols: a single one unless some have to catch up more than others.

    A night fetches the last `look_back` sessions, because the vendor goes on correcting a bar after the close. So a
    night that didn't happen leaves a gap, and before it `look_back` - 1 sessions that would have been fetched once
    more: a night with a gap reaches back to before it. Symbols that have to reach about as far back, to a factor of
    two, share a run, so that one that fails every night doesn't make all the others reach back with it.

    Args:
        symbols: of one calendar, at least one.
        gaps: by symbol, if it has any; none older than `reach_back` sessions.
        latest: the newest session that is over.
        look_back: sessions that every night fetches.
        reach_back: the most sessions that a night fetches.
    """
    recent = list_last_sessions(symbols[0].calendar, latest, reach_back)
    groups: defaultdict[int, list[tuple[int, Symbol]]] = defaultdict(list)
    for symbol in symbols:
        reach = max(look_back, _count_reach(recent, gaps.get(symbol.name), look_back))
        doublings = ((reach - 1) // look_back).bit_length()
        groups[doublings].append((reach, symbol))
    return [
        RangeRun(symbols[0].calendar, [symbol for _, symbol in members], recent[-max(reach for reach, _ in members) :])
        for _, members in sorted(groups.items())
    ]


def plan_market_night(sessions: Sequence[date], stored: Container[date], *, look_back: int) -> list[date]:
    """Return the sessions of a market that a night fetches: the last `look_back` ones, and all that are not stored.

    Args:
        sessions: that are over, oldest first, as far as a night reaches back.
        stored: those that are stored whole.
        look_back: sessions that every night fetches.
    """
    return [*(day for day in sessions[:-look_back] if day not in stored), *sessions[-look_back:]]


def _count_reach(recent: Sequence[date], gap: Gap | None, look_back: int) -> int:
    """Return the number of recent sessions from the gap on, plus those before it to be fetched once more."""
    if gap is None:
        return 0
    first_bar = gap.first_bar or date.max
    missed = sum(session >= gap.oldest for session in recent)
    before = sum(first_bar <= session < gap.oldest for session in recent)
    return missed + min(before, look_back - 1)
