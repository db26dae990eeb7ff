"""A partition is a trading session: each calendar's partitions are exactly its sessions.

One definition a calendar, shared by all its symbols, so that any symbols over any range are one run. Concept:
https://docs.dagster.io/guides/build/partitions-and-backfills
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import dagster as dg

from market_pipeline.sessions import calendar, days_without_session

WEEKENDS = ("0 0 * * 6", "0 0 * * 0")


class SessionPartitions(dg.DailyPartitionsDefinition):
    """Daily partitions whose hash is computed once.

    Dagster asks for it several times an asset and a partition, and takes it each time of the text of all exclusions.
    """

    @cached_property
    def _hash(self) -> int:
        return hash(repr(self))

    def __hash__(self) -> int:
        return self._hash


def session_partitions(calendar_name: str, today: date) -> SessionPartitions:
    """The partitions of a calendar: its sessions from its first on, each existing once its day is over in UTC.

    Weekends and holidays are left out by exclusion: a weekday schedule would hide Friday until Monday. Holidays are
    known to the end of next year; `today` only says which year that is.
    """
    first = calendar(calendar_name).first_session
    closed_days = (
        [] if calendar_name == "24/7" else days_without_session(calendar_name, first, _end_of_next_year(today))
    )
    return SessionPartitions(
        start_date=first.isoformat(),
        exclusions=[*WEEKENDS, *(datetime.combine(day, time(), UTC) for day in closed_days)] if closed_days else None,
    )


def partition_range_tags(start: date, end: date) -> dict[str, str]:
    """The run tags that make one run cover the partitions from `start` to `end`, both included."""
    return {
        "dagster/asset_partition_range_start": start.isoformat(),
        "dagster/asset_partition_range_end": end.isoformat(),
    }


def _end_of_next_year(today: date) -> date:
    return date(today.year + 2, 1, 1) - timedelta(days=1)
