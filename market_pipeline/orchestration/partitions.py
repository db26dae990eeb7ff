"""Partitions: a partition is a trading session, and each calendar's partitions are exactly its sessions.

All symbols of a calendar share one definition, so that any of them over any range are one run. Concept:
https://docs.dagster.io/guides/build/partitions-and-backfills
"""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any

import click
import dagster as dg

from market_pipeline.core.errors import UsageError
from market_pipeline.core.sessions import find_calendar, list_holidays

WEEKENDS = ("0 0 * * 6", "0 0 * * 0")
PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


NO_PARTITIONS = (
    "no session was chosen: choose partitions in the Dagster UI, or run `dagster asset "
    "materialize` with --partition 2024-01-02 or --partition-range 2024-01-02...2024-01-31"
)


class PartitionError(UsageError, click.ClickException):
    """A partition is no session, or none was chosen. Dagster's commands print it as one line."""

    exit_code = 2


class SessionPartitions(dg.DailyPartitionsDefinition):
    """Daily partitions that compute their hash once and name the nearest keys when rejecting an unknown one.

    Dagster takes the hash several times per asset and partition, each time of the text of all exclusions.
    """

    def validate_partition_key(self, partition_key: str, context: Any) -> None:  # noqa: ARG002
        """Check that the key is a partition.

        Raises:
            PartitionError: it is none; the message names the nearest ones.
        """
        check_partition_key(self, partition_key)

    @cached_property
    def _hash(self) -> int:
        return hash(repr(self))

    def __hash__(self) -> int:
        return self._hash


def build_session_partitions(calendar_name: str, today: date) -> SessionPartitions:
    """Return a calendar's partitions: its sessions from the first on, each once its day is over in UTC.

    Weekends and holidays are exclusions: a weekday schedule would hide Friday until Monday. Holidays are known to the
    end of next year; `today` only determines that year.
    """
    first = find_calendar(calendar_name).first_session
    closed_days = [] if calendar_name == "24/7" else list_holidays(calendar_name, first, date(today.year + 1, 12, 31))
    return SessionPartitions(
        start_date=first.isoformat(),
        exclusions=[*WEEKENDS, *(datetime.combine(day, time(), UTC) for day in closed_days)] if closed_days else None,
    )


def check_partition_key(partitions: dg.TimeWindowPartitionsDefinition, key: str) -> None:
    """Check that the key is a partition. Dagster would replace another day by the first session after it.

    Raises:
        PartitionError: it is none; the message names the nearest ones.
    """
    if partitions.has_partition_key(key):
        return
    keys = partitions.get_partition_keys()
    at = bisect_left(keys, key)
    nearest = " or ".join(keys[max(at - 1, 0) : at + 1])
    raise PartitionError(f"{key} is no session that is over: choose {nearest}")


def check_partitions_chosen(tags: Mapping[str, str]) -> None:
    """Check that the tags of a run select partitions.

    Raises:
        PartitionError: they select none.
    """
    if PARTITION_TAG not in tags and not tags.keys() >= set(RANGE_TAGS):
        raise PartitionError(NO_PARTITIONS)


def build_range_tags(start: date, end: date) -> dict[str, str]:
    """Return the tags of one run that covers the partitions from `start` to `end`, both included."""
    return dict(zip(RANGE_TAGS, (start.isoformat(), end.isoformat()), strict=True))
