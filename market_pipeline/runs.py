"""Which runs a backfill becomes: one a calendar, over the sessions that are over. What a run does, ingest.py says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from market_pipeline.errors import UsageError
from market_pipeline.sessions import calendar, latest_ended_session, sessions_between
from market_pipeline.symbols import Symbol


class NoSessionError(UsageError):
    """The dates asked for hold no session."""


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
    if start > end:
        raise NoSessionError(f"--start {start} is after --end {end}: swap them")
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
