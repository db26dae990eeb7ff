"""An event for each of many partitions, made of one of them: they differ in nothing but the partition.

Dagster makes and serializes an object for every event, and of a range run nearly all events are such.
"""

import json
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from dagster import DagsterEvent, DagsterEventType, EventLogEntry
from sqlalchemy import Connection, text

from market_pipeline.dagster_storage.internals import (
    AssetMaterializationPlannedData,
    SqlEventLogStorageTable,
    StepMaterializationData,
)

EACH = "<each partition>"
"""Stands for the partition in the event of which the others are made."""

_COLUMNS = ("run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key")
_INSERT = text(f"""
    INSERT INTO {SqlEventLogStorageTable.name} ({", ".join(_COLUMNS)}, partition)
    SELECT :run_id, replace(:event, :each, CAST(to_json(partition) AS text)), :dagster_event_type, :timestamp,
           :step_key, :asset_key, partition
    FROM unnest(CAST(:partitions AS text[])) WITH ORDINALITY AS own (partition, position)
    ORDER BY position
    RETURNING id
""")  # noqa: S608 - names of columns


def planned_partitions(event: EventLogEntry) -> Sequence[str] | None:
    """The partitions for which an event plans an asset all at once; None where it is another event."""
    if event.dagster_event_type is not DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
        return None
    subset = event.get_dagster_event().asset_materialization_planned_data.partitions_subset
    return None if subset is None else list(subset.get_partition_keys())


def of_partition(event: EventLogEntry, partition: str) -> EventLogEntry:
    """The same event of one partition: that an asset is planned or was materialized."""
    dagster_event: DagsterEvent = event.get_dagster_event()
    data = dagster_event.event_specific_data
    if isinstance(data, AssetMaterializationPlannedData):
        own: Any = AssetMaterializationPlannedData(data.asset_key, partition)
    elif isinstance(data, StepMaterializationData):
        own = data._replace(materialization=data.materialization._replace(partition=partition))
    else:
        raise TypeError(f"{dagster_event.event_type_value} is no event of a partition")
    return event._replace(dagster_event=dagster_event._replace(event_specific_data=own))


def insert_each(connection: Connection, row: Mapping[str, Any], partitions: Sequence[str]) -> "array[int]":
    """Write a row for each partition, in their order; their ids, which ascend.

    Args:
        connection: in a transaction.
        row: that of `of_partition(event, EACH)`, as the event log lays it out.
        partitions: at least one.
    """
    values = {name: row[name] for name in _COLUMNS}
    written = connection.scalars(_INSERT, {**values, "each": json.dumps(EACH), "partitions": list(partitions)})
    return array("q", sorted(written))  # of all symbols since 2003 there are millions
