"""Which runs the work becomes: a backfill of some dates, a backfill of what is missing, a night.

A run covers sessions that are over, of symbols of one calendar. What it does with them, ingest.py says.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from market_pipeline.core.sessions import (
    NoSessionError,
    calendar,
    check_order,
    last_sessions,
    latest_ended_session,
    sessions_between,
)
from market_pipeline.core.symbols import Symbol

TRIGGER_TAG = "market_pipeline/trigger"
"""The tag by which whoever starts a run says who that is, where Dagster doesn't."""


def trigger_of(tags: Mapping[str, str]) -> str:
    """What started a run with these tags: cli, schedule, api, backfill (from the UI) or manual."""
    if TRIGGER_TAG in tags:
        return tags[TRIGGER_TAG]
    if "dagster/schedule_name" in tags:
        return "schedule"
    return "backfill" if "dagster/backfill" in tags else "manual"


@dataclass(frozen=True)
class RangeRun:
    """One run to launch: some symbols of one calendar over a range of its sessions, oldest first."""

    calendar: str
    symbols: Sequence[Symbol]
    sessions: Sequence[date]


def range_runs(symbols: Sequence[Symbol], start: date, end: date, now: datetime) -> list[RangeRun]:
    """The runs that cover these symbols from `start` to `end`, as far as sessions are over at `now`.

    Raises:
        NoSessionError: `start` is after `end`, or a calendar has no session that is over between them.
    """
    check_order(start, end)
    runs = []
    for name in sorted({symbol.calendar for symbol in symbols}):
        latest = latest_ended_session(name, now)
        first = max(start, calendar(name).first_session)
        sessions = sessions_between(name, first, min(end, latest)) if latest else []
        if not sessions:
            raise NoSessionError(
                f"the calendar {name} has no session that is over between {start} and {end} (its first is "
                f"{calendar(name).first_session}, the newest that is over {latest}): widen --start and --end"
            )
        runs.append(RangeRun(name, [symbol for symbol in symbols if symbol.calendar == name], sessions))
    return runs


def runs_for_missing(spans: Mapping[Symbol, tuple[date, date]]) -> list[RangeRun]:
    """The runs that cover each symbol's span; symbols whose spans begin and end in the same months share a run.

    Args:
        spans: the first and the last session to fetch of each symbol.
    """
    together: defaultdict[tuple[str, date, date], list[Symbol]] = defaultdict(list)
    for symbol, (first, last) in spans.items():
        together[symbol.calendar, first.replace(day=1), last.replace(day=1)].append(symbol)
    runs = []
    for (name, _, _), symbols in sorted(together.items()):
        first = min(spans[symbol][0] for symbol in symbols)
        last = max(spans[symbol][1] for symbol in symbols)
        runs.append(RangeRun(name, symbols, sessions_between(name, first, last)))
    return runs


@dataclass(frozen=True)
class Gap:
    """What a symbol lacks: its oldest session that should be fetched and isn't; its first bar, if it has any."""

    oldest: date
    first_bar: date | None


def nightly_runs(
    symbols: Sequence[Symbol], holes: Mapping[str, Gap], latest: date, *, look_back: int, reach_back: int
) -> list[RangeRun]:
    """Tonight's runs of the symbols of one calendar: a single one unless some have more to catch up on than others.

    A night fetches the last `look_back` sessions, because the vendor goes on correcting a bar after the close. So a
    night that didn't happen leaves a hole, and before it `look_back` - 1 sessions that would have been fetched once
    more: where there is a hole, the night reaches back to before it. Symbols that have to reach about as far back, to
    a factor of two, share a run, so that one that fails every night doesn't make all the others reach back with it.

    Args:
        symbols: of one calendar, at least one.
        holes: by symbol, where it has any; none older than `reach_back` sessions.
        latest: the newest session that is over.
        look_back: sessions that every night fetches.
        reach_back: the most sessions that a night fetches.
    """
    recent = last_sessions(symbols[0].calendar, latest, reach_back)
    together: defaultdict[int, list[tuple[int, Symbol]]] = defaultdict(list)
    for symbol in symbols:
        reach = max(look_back, _reach(recent, holes.get(symbol.name), look_back))
        doublings = ((reach - 1) // look_back).bit_length()
        together[doublings].append((reach, symbol))
    return [
        RangeRun(symbols[0].calendar, [symbol for _, symbol in members], recent[-max(reach for reach, _ in members) :])
        for _, members in sorted(together.items())
    ]


def _reach(recent: Sequence[date], hole: Gap | None, look_back: int) -> int:
    """How many of the recent sessions are from the hole on, or before it and to be fetched once more."""
    if hole is None:
        return 0
    first_bar = hole.first_bar or date.max
    missed = sum(session >= hole.oldest for session in recent)
    before = sum(first_bar <= session < hole.oldest for session in recent)
    return missed + min(before, look_back - 1)
