"""Sessions: the trading days of each calendar, when they begin, and which of them are over.

A session is one trading day of a calendar: New York's for equities (`XNYS`), every UTC day for crypto (`24/7`). Its
date identifies it. The weekdays without a session come from the library exchange_calendars. Importing that library,
and pandas with it, and computing them takes 0.5 s, so `closures.json` holds them as long as the installed library has
the version it was written by. `python -m market_pipeline.core.sessions` writes that file anew.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from market_pipeline.core.errors import UsageError

if TYPE_CHECKING:  # 0.3 s, which only callers with frames need
    import pandas as pd

FIRST_YEAR, LAST_RECORDED_YEAR = 2000, 2039
CLOSURES_FILE = Path(__file__).with_name("closures.json")


@dataclass(frozen=True)
class Calendar:
    """A trading calendar: its name in exchange_calendars, the time zone its days begin in, and its first session.

    `market` is its market's name for people.
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
    """A range of dates without a session."""


def check_order(start: date | None, end: date | None) -> None:
    """Check that a range's start is not after its end; None is no limit.

    Raises:
        NoSessionError: it is.
    """
    if start is not None and end is not None and start > end:
        raise NoSessionError(f"the start {start} is after the end {end}: swap them")


def find_calendar(name: str) -> Calendar:
    """Return the calendar of that name.

    Raises:
        UnknownCalendarError: there is none.
    """
    try:
        return CALENDARS[name]
    except KeyError:
        raise UnknownCalendarError(f"calendar {name!r} is not known; use one of {', '.join(CALENDARS)}") from None


def list_sessions(name: str, start: date, end: date) -> list[date]:
    """Return a calendar's sessions from `start` to `end`, both included, oldest first; empty where there are none."""
    if end < start:
        return []
    sessions = _list_all_sessions(name, end.year // 10 * 10 + 9)  # a decade's end, so that the cache holds few lists
    return sessions[bisect_left(sessions, start) : bisect_right(sessions, end)]


def list_holidays(name: str, start: date, end: date) -> list[date]:
    """Return the calendar's holidays: weekdays without a session from `start` to `end`, both included."""
    sessions = set(list_sessions(name, start, end))
    return [day for day in list_weekdays(start, end) if day not in sessions]


def compute_session_starts(name: str, sessions: "pd.DatetimeIndex") -> "pd.DatetimeIndex":
    """Return the instant in UTC at which each session's day begins, as the vendor stamps a daily bar.

    That is midnight in the calendar's time zone. Shape: as `sessions`, which are midnights without a zone.
    """
    return sessions.tz_localize(find_calendar(name).timezone).tz_convert("UTC")


def compute_session_start(name: str, day: date) -> datetime:
    """Return the instant in UTC at which a day of this calendar begins, as `compute_session_starts`, without pandas."""
    return datetime.combine(day, time.min, find_calendar(name).timezone).astimezone(UTC)


def list_last_sessions(name: str, last: date, count: int) -> list[date]:
    """Return the last `count` sessions up to and including `last`, oldest first; fewer if the calendar has fewer."""
    return list_sessions(name, find_calendar(name).first_session, last)[-count:]


def find_newest_ended_session(name: str, now: datetime) -> date | None:
    """Return the newest session that is over at `now`: its date has passed in UTC, hours after New York's close."""
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    recent = list_sessions(name, yesterday - timedelta(days=14), yesterday)
    return recent[-1] if recent else None


@lru_cache
def _list_all_sessions(name: str, last_year: int) -> list[date]:
    first, last = find_calendar(name).first_session, date(last_year, 12, 31)
    if name == "24/7":
        return [first + timedelta(days) for days in range((last - first).days + 1)]
    closed = read_closures(last_year)
    return [day for day in list_weekdays(first, last) if day not in closed]


@lru_cache
def read_closures(last_year: int) -> frozenset[date]:
    """Return New York's weekdays without a session from FIRST_YEAR on, at least to the end of `last_year`."""
    record = json.loads(CLOSURES_FILE.read_text(encoding="utf-8"))
    if last_year <= LAST_RECORDED_YEAR and record["exchange_calendars"] == version("exchange_calendars"):
        return frozenset(map(date.fromisoformat, record["closures"]))
    return frozenset(_compute_closures(last_year))


def list_weekdays(start: date, end: date) -> Iterable[date]:
    """Return the days from Monday to Friday from `start` to `end`, both included."""
    days = (start + timedelta(days) for days in range((end - start).days + 1))
    return (day for day in days if day.weekday() < 5)


def _compute_closures(last_year: int) -> list[date]:
    import exchange_calendars  # 0.5 s with pandas, which CLOSURES_FILE saves

    # The end is given: the library's own, a year from today, would make the result change from day to day.
    start, end = date(FIRST_YEAR, 1, 1), date(last_year, 12, 31)
    by_library = exchange_calendars.get_calendar("XNYS", start=str(start), end=str(end))
    sessions = set(by_library.sessions.date)
    return [day for day in list_weekdays(start, end) if day not in sessions]


def write_closures() -> None:
    """Write CLOSURES_FILE by the installed library."""
    days = [day.isoformat() for day in _compute_closures(LAST_RECORDED_YEAR)]
    record = {"exchange_calendars": version("exchange_calendars"), "closures": days}
    CLOSURES_FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_closures()
