"""Partitions: exactly the sessions, each from its end on, and one range for any sessions in a row."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from market_pipeline.core.sessions import find_calendar, list_sessions
from market_pipeline.orchestration.partitions import build_range_tags, build_session_partitions

TODAY = date(2026, 11, 23)


def keys(calendar_name: str, now: datetime) -> list[str]:
    return list(build_session_partitions(calendar_name, TODAY).get_partition_keys(current_time=now))


@pytest.mark.parametrize("calendar_name", ["XNYS", "24/7"])
def test_partitions_are_the_calendars_sessions(calendar_name: str) -> None:
    first = find_calendar(calendar_name).first_session
    expected = [day.isoformat() for day in list_sessions(calendar_name, first, date(2026, 11, 22))]
    assert keys(calendar_name, datetime(2026, 11, 23, 2, tzinfo=UTC)) == expected


def test_fridays_partition_exists_on_saturday_morning() -> None:
    assert keys("XNYS", datetime(2026, 11, 20, 23, 59, tzinfo=UTC))[-1] == "2026-11-19"
    assert keys("XNYS", datetime(2026, 11, 21, 0, 0, tzinfo=UTC))[-1] == "2026-11-20"


def test_a_range_over_weekends_and_holidays_is_one_range() -> None:
    partitions = build_session_partitions("XNYS", TODAY)
    context = dg.PartitionKeyRange("2012-10-26", "2012-11-02")  # a weekend and two days of storm between them
    now = datetime(2026, 11, 23, tzinfo=UTC)
    inside = [key for key in keys("XNYS", now) if context.start <= key <= context.end]
    assert inside == ["2012-10-26", "2012-10-31", "2012-11-01", "2012-11-02"]
    subset = partitions.empty_subset().with_partition_keys(inside)
    assert len(list(subset.get_partition_key_ranges(partitions))) == 1


def test_the_definition_stays_the_same_for_a_whole_year() -> None:
    first, last = (build_session_partitions("XNYS", date(2026, month, day)) for month, day in ((1, 1), (12, 31)))
    assert first.get_serializable_unique_identifier() == last.get_serializable_unique_identifier()


def test_the_tags_of_a_range_are_those_dagster_reads() -> None:
    assert build_range_tags(date(2024, 1, 2), date(2024, 3, 28)) == {
        "dagster/asset_partition_range_start": "2024-01-02",
        "dagster/asset_partition_range_end": "2024-03-28",
    }
