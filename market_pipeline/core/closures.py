"""New York's closures: the weekdays without a session, as the library exchange_calendars has them.

Importing that library, and pandas with it, and having it work them out takes half a second. So its answer is recorded
in `closures.json`, and the record is used as long as it is of the version that is installed; any other is asked itself.
`python -m market_pipeline.core.closures` makes the record anew.
"""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

FIRST_YEAR, RECORDED_TO = 2000, 2039
RECORD = Path(__file__).with_suffix(".json")


@lru_cache
def closures(last_year: int) -> frozenset[date]:
    """The closures from FIRST_YEAR on, at least to the end of `last_year`."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    if last_year <= RECORDED_TO and record["exchange_calendars"] == _version():
        return frozenset(map(date.fromisoformat, record["closures"]))
    return frozenset(closures_by_library(last_year))


def closures_by_library(last_year: int) -> list[date]:
    """The closures from FIRST_YEAR to the end of `last_year` as the library works them out, oldest first.

    The end is given, because the library's own, a year from today, would make the answer change from day to day.
    """
    import exchange_calendars  # 0.5 s, with pandas, that the record saves

    start, end = date(FIRST_YEAR, 1, 1), date(last_year, 12, 31)
    calendar = exchange_calendars.get_calendar("XNYS", start=str(start), end=str(end))
    sessions = set(calendar.sessions.date)
    return [day for day in weekdays(start, end) if day not in sessions]


def weekdays(start: date, end: date) -> Iterable[date]:
    """The days from Monday to Friday from `start` to `end`, both included."""
    days = (start + timedelta(days) for days in range((end - start).days + 1))
    return (day for day in days if day.weekday() < 5)


def record() -> None:
    """Write down what the installed library says."""
    days = [day.isoformat() for day in closures_by_library(RECORDED_TO)]
    said = {"exchange_calendars": _version(), "closures": days}
    RECORD.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _version() -> str:
    return version("exchange_calendars")


if __name__ == "__main__":
    record()
