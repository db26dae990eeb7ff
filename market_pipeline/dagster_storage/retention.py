"""Retention: delete records of Dagster's database that newer ones have replaced.

Nightly runs load the last sessions again and repeat their checks. Dagster derives from its events which partitions are
materialized and how the checks stand, so the newest record of each stays, however old: no cell of the UI turns grey.
Runs stay too. Dagster deletes ticks by itself, as `retention:` in dagster.yaml says.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import DagsterEventType, DagsterInstance
from sqlalchemy import Delete, Table, delete, func, select

from market_pipeline.dagster_storage.internals import AssetCheckExecutionRecordStatus, SqlEventLogStorage
from market_pipeline.dagster_storage.internals import AssetCheckExecutionsTable as Checks
from market_pipeline.dagster_storage.internals import AssetEventTagsTable as Tags
from market_pipeline.dagster_storage.internals import SqlEventLogStorageTable as Events

SHORTEST_DAYS = 2
"""A run ends within a day (run_monitoring in dagster.yaml); records of a run that goes on stay."""

ROWS_AT_ONCE = 20_000
"""Rows searched in one transaction, so that other writers hardly wait."""

MATERIALIZING = (
    DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
)  # fmt: skip
CHECKING = (
    DagsterEventType.ASSET_CHECK_EVALUATION.value, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
)  # fmt: skip
EVALUATED = (AssetCheckExecutionRecordStatus.SUCCEEDED.value, AssetCheckExecutionRecordStatus.FAILED.value)


class OtherStorageError(TypeError):
    """Dagster keeps its events in another kind of storage."""


class TooSoonError(ValueError):
    """The days include runs that may still go on."""


@dataclass(frozen=True)
class Deleted:
    """Numbers of deleted records: events, and results of checks."""

    events: int
    results: int


def delete_replaced(instance: DagsterInstance, days: int, now: datetime) -> Deleted:
    """Delete records that are older than `days` at `now` and that newer ones have replaced.

    It may be stopped at any time and run again, while runs go on.

    Raises:
        TooSoonError: `days` is below `SHORTEST_DAYS`.
        OtherStorageError: the instance's events aren't in an SQL database.
    """
    if days < SHORTEST_DAYS:
        raise TooSoonError(f"give {SHORTEST_DAYS} days or more: newer records may belong to a run that goes on")
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise OtherStorageError(f"Dagster keeps its events elsewhere, in {type(storage).__name__}")
    before = (now - timedelta(days=days)).astimezone(UTC).replace(tzinfo=None)
    results = _delete_in_parts(storage, Checks, _delete_replaced_results(before))
    events = _delete_in_parts(storage, Events, _delete_replaced_materializations(before))
    return Deleted(events + _delete_in_parts(storage, Events, _delete_events_without_results(before)), results)


def _delete_replaced_results(before: datetime) -> Delete:
    """Return the DELETE of results of checks that were evaluated again."""
    newer = Checks.alias("newer")
    again = select(newer.c.id).where(
        newer.c.asset_key == Checks.c.asset_key,
        newer.c.check_name == Checks.c.check_name,
        newer.c.partition.is_not_distinct_from(Checks.c.partition),
        newer.c.execution_status.in_(EVALUATED),
        newer.c.id > Checks.c.id,
    )
    return delete(Checks).where(Checks.c.evaluation_event_timestamp < before, again.exists())


def _delete_replaced_materializations(before: datetime) -> Delete:
    """Return the DELETE of materializations, planned or done, that were planned or done again."""
    newer = Events.alias("newer")
    again = select(newer.c.id).where(
        newer.c.asset_key == Events.c.asset_key,
        newer.c.dagster_event_type == Events.c.dagster_event_type,
        newer.c.partition == Events.c.partition,
        newer.c.id > Events.c.id,
    )
    return delete(Events).where(
        Events.c.dagster_event_type.in_(MATERIALIZING), Events.c.timestamp < before, again.exists()
    )


def _delete_events_without_results(before: datetime) -> Delete:
    """Return the DELETE of check events of runs that have no result left."""
    left = select(Checks.c.id).where(Checks.c.run_id == Events.c.run_id)
    return delete(Events).where(Events.c.dagster_event_type.in_(CHECKING), Events.c.timestamp < before, ~left.exists())


def _delete_in_parts(storage: SqlEventLogStorage, table: Table, statement: Delete) -> int:
    number = table.c["id"]
    with storage.index_transaction() as connection:
        last = connection.scalar(select(func.max(number))) or 0
        first = connection.scalar(select(func.min(number))) or last + 1
    gone = 0
    for start in range(first, last + 1, ROWS_AT_ONCE):
        part = statement.where(number.between(start, start + ROWS_AT_ONCE - 1)).returning(number)
        with storage.index_transaction() as connection:
            ids = [row[0] for row in connection.execute(part)]
            if ids and table is Events:
                connection.execute(delete(Tags).where(Tags.c.event_id.in_(ids)))
        gone += len(ids)
    return gone
