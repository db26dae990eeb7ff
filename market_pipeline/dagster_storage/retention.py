"""Keeping Dagster's database from growing for ever: records of its own that newer ones have replaced are deleted.

Each night loads the last sessions again and answers the checks again. Dagster takes from its events which partitions
are materialized and how the checks stand, so the newest record of each stays, however old it is: no cell turns grey.
Runs stay too, with the rest of what they said. Ticks are deleted by Dagster itself, as dagster.yaml says.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import DagsterEventType, DagsterInstance
from sqlalchemy import Delete, Table, delete, func, select

from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.dagster_storage.internals import AssetCheckExecutionRecordStatus, SqlEventLogStorage
from market_pipeline.dagster_storage.internals import AssetCheckExecutionsTable as Checks
from market_pipeline.dagster_storage.internals import AssetEventTagsTable as Tags
from market_pipeline.dagster_storage.internals import SqlEventLogStorageTable as Events

SHORTEST_DAYS = 2
"""A run ends within a day (run_monitoring in dagster.yaml), and what it records meanwhile is its own business."""

AT_ONCE = 20_000
"""Rows that are looked at in one transaction, so that whoever writes meanwhile hardly waits."""

MATERIALIZING = (
    DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
)  # fmt: skip
ANSWERING = (
    DagsterEventType.ASSET_CHECK_EVALUATION.value, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
)  # fmt: skip
ANSWERED = (AssetCheckExecutionRecordStatus.SUCCEEDED.value, AssetCheckExecutionRecordStatus.FAILED.value)


class RetentionError(MarketPipelineError):
    """Dagster keeps its events elsewhere."""


class TooSoonError(UsageError):
    """Runs that may still go on would be touched."""


@dataclass(frozen=True)
class Deleted:
    """How many records are gone: events, and results of checks."""

    events: int
    results: int


def delete_replaced(instance: DagsterInstance, days: int, now: datetime) -> Deleted:
    """Delete what is older than so many days at `now` and has been replaced by something newer.

    May be stopped at any time and run again; the rest of the pipeline may go on.

    Raises:
        TooSoonError: the days are too few.
        RetentionError: the instance's events aren't in a database of ours.
    """
    if days < SHORTEST_DAYS:
        raise TooSoonError(f"give {SHORTEST_DAYS} days or more: what is newer may belong to a run that goes on")
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise RetentionError("Dagster keeps its events elsewhere: use the project's dagster.yaml")
    before = (now - timedelta(days=days)).astimezone(UTC).replace(tzinfo=None)
    results = _in_parts(storage, Checks, _replaced_results(before))
    events = _in_parts(storage, Events, _replaced_materializations(before))
    return Deleted(events + _in_parts(storage, Events, _answers_of_nothing(before)), results)


def _replaced_results(before: datetime) -> Delete:
    """Results of a check that was answered again later."""
    newer = Checks.alias("newer")
    again = select(newer.c.id).where(
        newer.c.asset_key == Checks.c.asset_key,
        newer.c.check_name == Checks.c.check_name,
        newer.c.partition.is_not_distinct_from(Checks.c.partition),
        newer.c.execution_status.in_(ANSWERED),
        newer.c.id > Checks.c.id,
    )
    return delete(Checks).where(Checks.c.evaluation_event_timestamp < before, again.exists())


def _replaced_materializations(before: datetime) -> Delete:
    """Materializations of a partition, planned or done, that were later planned or done again."""
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


def _answers_of_nothing(before: datetime) -> Delete:
    """Events of checks from runs of which no result is left."""
    left = select(Checks.c.id).where(Checks.c.run_id == Events.c.run_id)
    return delete(Events).where(Events.c.dagster_event_type.in_(ANSWERING), Events.c.timestamp < before, ~left.exists())


def _in_parts(storage: SqlEventLogStorage, table: Table, statement: Delete) -> int:
    number = table.c["id"]
    with storage.index_transaction() as connection:
        last = connection.scalar(select(func.max(number))) or 0
        first = connection.scalar(select(func.min(number))) or last + 1
    gone = 0
    for start in range(first, last + 1, AT_ONCE):
        part = statement.where(number.between(start, start + AT_ONCE - 1)).returning(number)
        with storage.index_transaction() as connection:
            ids = [row[0] for row in connection.execute(part)]
            if ids and table is Events:
                connection.execute(delete(Tags).where(Tags.c.event_id.in_(ids)))
        gone += len(ids)
    return gone
