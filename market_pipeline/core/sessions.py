"""Which sessions exist, when each begins, and which are over.

A session is one trading day of a calendar: New York's for equities (`XNYS`), every UTC day for crypto (`24/7`). It is
known by its date. Knows nothing of vendors or databases.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from market_pipeline.core.closures import closures, weekdays
from market_pipeline.core.errors import UsageError

if TYPE_CHECKING:  # a third of a second, for who handles frames
    import pandas as pd


@dataclass(frozen=True)
class Calendar:
    """A trading calendar: its name in exchange_calendars, the time zone its days begin in, and its first session.

    `market` is what people call those who keep it.
    """

    name: str
    market: str
    timezone: ZoneInfo
    first_session: date


CALENDARS = {
    # The vendor's stock bars begin on 2003-09-10; the sandbox's recorded ones on 2000-03-01.
    "XNYS": Calendar("XNYS", "equities", ZoneInfo("America/New_York"), date(2000, 1, 3)),
    # The vendor's crypto records begin on 2013-11-01.
    "24/7": Calendar("24/7", "crypto", ZoneInfo("UTC"), date(2013, 11, 1)),
}


class UnknownCalendarError(UsageError):
    """A calendar that the project doesn't know."""


class NoSessionError(UsageError):
    """The dates asked for hold no session."""


def check_order(start: date | None, end: date | None) -> None:
    """Let a range of dates pass whose start is not after its end; None is no limit.

    Raises:
        NoSessionError: it is.
    """
    if start is not None and end is not None and start > end:
        raise NoSessionError(f"the start {start} is after the end {end}: swap them")


def calendar(name: str) -> Calendar:
    """The calendar of that name.

    Raises:
        UnknownCalendarError: there is none.
    """
    try:
        return CALENDARS[name]
    except KeyError:
        raise UnknownCalendarError(f"calendar {name!r} is not known; use one of {', '.join(CALENDARS)}") from None


@lru_cache
def _all_sessions(name: str, last_year: int) -> list[date]:
    """Every session from the calendar's first to the end of `last_year`, oldest first."""
    first, last = calendar(name).first_session, date(last_year, 12, 31)
    if name == "24/7":
        return [first + timedelta(days) for days in range((last - first).days + 1)]
    closed = closures(last_year)
    return [day for day in weekdays(first, last) if day not in closed]


def sessions_between(name: str, start: date, end: date) -> list[date]:
    """The sessions of a calendar from `start` to `end`, both included, oldest first; empty where there are none."""
    if end < start:
        return []
    found = _all_sessions(name, end.year // 10 * 10 + 9)  # a decade's end, so that few are made
    return found[bisect_left(found, start) : bisect_right(found, end)]


def days_without_session(name: str, start: date, end: date) -> list[date]:
    """The weekdays from `start` to `end`, both included, on which the calendar has no session: its holidays."""
    sessions = set(sessions_between(name, start, end))
    return [day for day in weekdays(start, end) if day not in sessions]


def session_starts(name: str, sessions: "pd.DatetimeIndex") -> "pd.DatetimeIndex":
    """When each session's day begins, in UTC: midnight in the calendar's time zone, as the vendor stamps a daily bar.

    Shape: as `sessions`, which are midnights without a zone.
    """
    return sessions.tz_localize(calendar(name).timezone).tz_convert("UTC")


def last_sessions(name: str, last: date, count: int) -> list[date]:
    """The last `count` sessions of a calendar up to `last`, itself included, oldest first; fewer where there are."""
    return sessions_between(name, calendar(name).first_session, last)[-count:]


def latest_ended_session(name: str, now: datetime) -> date | None:
    """The newest session that is over at `now`: one whose date has passed in UTC, hours after New York's close."""
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    recent = sessions_between(name, yesterday - timedelta(days=14), yesterday)
    return recent[-1] if recent else None
