"""Rows of `asset_check_executions`: one for each planned check, updated with its result."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dagster import AssetCheckEvaluation, DagsterEventType, DagsterInvariantViolationError, EventLogEntry
from sqlalchemy import Connection, insert, text

from market_pipeline.dagster_storage.internals import (
    AssetCheckExecutionRecordStatus,
    AssetCheckExecutionsTable,
    copy_record,
)

Row = dict[str, Any]

_RESULT_COLUMNS = ("asset_key", "check_name", "partition", "run_id", "execution_status", "evaluation_event",
                   "evaluation_event_timestamp", "evaluation_event_storage_id",
                   "materialization_event_storage_id")  # fmt: skip

# A result without a run belongs to no planned check: each has its own row.
_RECORD_RESULTS = text("""
    WITH result AS (
        SELECT * FROM unnest(
            CAST(:asset_key AS text[]), CAST(:check_name AS text[]), CAST(:partition AS text[]),
            CAST(:run_id AS text[]), CAST(:execution_status AS text[]), CAST(:evaluation_event AS text[]),
            CAST(:evaluation_event_timestamp AS timestamp[]), CAST(:evaluation_event_storage_id AS bigint[]),
            CAST(:materialization_event_storage_id AS bigint[])
        ) AS row (asset_key, check_name, partition, run_id, status, event, at, event_id, materialization_id)
    ),
    planned AS (
        UPDATE asset_check_executions AS held
        SET execution_status = status, evaluation_event = event, evaluation_event_timestamp = at,
            evaluation_event_storage_id = event_id, materialization_event_storage_id = materialization_id
        FROM result
        WHERE (held.asset_key, held.check_name, held.run_id) = (result.asset_key, result.check_name, result.run_id)
          AND held.partition IS NOT DISTINCT FROM result.partition AND held.run_id <> ''
        RETURNING result.event_id
    ),
    added AS (
        INSERT INTO asset_check_executions (
            asset_key, check_name, partition, run_id, execution_status, evaluation_event, evaluation_event_timestamp,
            evaluation_event_storage_id, materialization_event_storage_id
        )
        SELECT * FROM result WHERE event_id NOT IN (SELECT event_id FROM planned)
    )
    SELECT max(rows) FROM (SELECT count(*) AS rows FROM planned GROUP BY event_id) AS updated
""")


def store(connection: Connection, events: Sequence[tuple[EventLogEntry, Row, int]]) -> None:
    """Insert the rows of planned checks, then update them with results; events of other types are skipped.

    Args:
        connection: in a transaction.
        events: each with its row in the event log and its id.

    Raises:
        DagsterInvariantViolationError: a check was planned more than once for the same partition and run.
    """
    planned = [row for event in events if is_planned_check(event[0]) for row in _build_planned_rows(*event)]
    if planned:
        connection.execute(insert(AssetCheckExecutionsTable), planned)
    newest: dict[tuple[Any, ...], Row] = {}
    for event, row, event_id in events:
        if event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            result = _build_result_row(event, row, event_id)
            # A result without a run replaces none.
            key = (result["asset_key"], result["check_name"], result["partition"], result["run_id"] or event_id)
            newest[key] = result
    if newest:
        arrays = {name: [result[name] for result in newest.values()] for name in _RESULT_COLUMNS}
        updated = connection.scalar(_RECORD_RESULTS, arrays) or 0
        if updated > 1:  # as the shipped storage has it
            raise DagsterInvariantViolationError(
                f"Updated {updated} rows for asset check evaluation: the check was planned as often in this run"
            )


def is_planned_check(event: EventLogEntry) -> bool:
    """Return True if the event plans a check."""
    return event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED


def remove_partitions(event: EventLogEntry) -> EventLogEntry:
    """Return the event that plans a check, without its partitions."""
    planned = event.get_dagster_event()
    data = copy_record(planned.asset_check_planned_data, partitions_subset=None)
    return event._replace(dagster_event=planned._replace(event_specific_data=data))


def _build_planned_rows(event: EventLogEntry, row: Row, event_id: int) -> Iterator[Row]:
    planned = event.get_dagster_event().asset_check_planned_data
    subset = planned.partitions_subset
    values = {
        "asset_key": planned.asset_key.to_string(),
        "check_name": planned.check_name,
        "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
        **_build_event_values(row, event_id),
    }
    partitions: Iterable[str | None] = subset.get_partition_keys() if subset else (None,)
    for partition in partitions:
        yield {**values, "partition": partition}


def _build_result_row(event: EventLogEntry, row: Row, event_id: int) -> Row:
    result: AssetCheckEvaluation = event.get_dagster_event().asset_check_evaluation_data
    passed, failed = AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED
    target = result.target_materialization_data
    return {
        "asset_key": result.asset_key.to_string(),
        "check_name": result.check_name,
        "partition": result.partition,
        "execution_status": (passed if result.passed else failed).value,
        "materialization_event_storage_id": target.storage_id if target else None,
        **_build_event_values(row, event_id),
    }


def _build_event_values(row: Row, event_id: int) -> Row:
    return {
        "run_id": row["run_id"],
        "evaluation_event": row["event"],
        "evaluation_event_timestamp": row["timestamp"],
        "evaluation_event_storage_id": event_id,
    }
