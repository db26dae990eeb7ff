"""Insert one event row per partition from a single serialized template; SQL substitutes the partition key.

Dagster makes and serializes an object for every event, and nearly all events of a range run differ only in that key.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dagster import DagsterEvent, DagsterEventType, EventLogEntry
from sqlalchemy import Connection, text

from market_pipeline.dagster_storage.internals import (
    AssetMaterializationPlannedData,
    SqlEventLogStorageTable,
    StepMaterializationData,
)

Repeated = tuple[EventLogEntry, Sequence[str] | None]
"""An event, and the partitions to write it for, one row each; None for an event that is written once."""

EACH = "<each partition>"
"""The partition key of the template."""

_COLUMNS = ("run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key")
_INSERT = text(f"""
    INSERT INTO {SqlEventLogStorageTable.name} ({", ".join(_COLUMNS)}, partition)
    SELECT :run_id, replace(:event, :each, CAST(to_json(partition) AS text)), :dagster_event_type, :timestamp,
           :step_key, :asset_key, partition
    FROM unnest(CAST(:partitions AS text[])) WITH ORDINALITY AS own (partition, position)
    ORDER BY position
    RETURNING id
""")  # noqa: S608 - names of columns


def pair_with_partitions(events: Iterable[EventLogEntry]) -> Iterator[Repeated]:
    """Yield each event with the partitions that it plans for an asset, or None."""
    known, keys = None, []
    for event in events:
        if event.dagster_event_type is not DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            yield event, None
            continue
        subset = event.get_dagster_event().asset_materialization_planned_data.partitions_subset
        if subset is not None and subset is not known:  # a run's assets share one
            known, keys = subset, list(subset.get_partition_keys())
        yield event, None if subset is None else keys


def limit_to_partition(event: EventLogEntry, partition: str) -> EventLogEntry:
    """Return the event, which plans or reports a materialization, for one partition.

    Raises:
        TypeError: the event is of another type.
    """
    dagster_event: DagsterEvent = event.get_dagster_event()
    data = dagster_event.event_specific_data
    if isinstance(data, AssetMaterializationPlannedData):
        own: Any = AssetMaterializationPlannedData(data.asset_key, partition)
    elif isinstance(data, StepMaterializationData):
        own = data._replace(materialization=data.materialization._replace(partition=partition))
    else:
        raise TypeError(f"{dagster_event.event_type_value} is no event of a partition")
    return event._replace(dagster_event=dagster_event._replace(event_specific_data=own))


def repeat_row(row: Mapping[str, Any], partitions: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the row of `limit_to_partition(event, EACH)` for each partition, as `insert_each` inserts it."""
    before, *after = row["event"].split(json.dumps(EACH))
    for partition in partitions:
        yield {**row, "event": json.dumps(partition).join((before, *after)), "partition": partition}


def insert_each(connection: Connection, row: Mapping[str, Any], partitions: Sequence[str]) -> "array[int]":
    """Insert a row for each partition, in their order, and return the ids, which ascend.

    Args:
        connection: in a transaction.
        row: the row of `limit_to_partition(event, EACH)` in the event log.
        partitions: at least one.
    """
    values = {name: row[name] for name in _COLUMNS}
    written = connection.scalars(_INSERT, {**values, "each": json.dumps(EACH), "partitions": list(partitions)})
    return array("q", sorted(written))  # of all symbols since 2003 there are millions
