"""Dagster's event log on PostgreSQL, written in bulk: the rows of dagster-postgres, a few statements a batch.

A range run plans and records one event for every partition; the shipped storage spends several statements and a
connection on most of them. Reading, and all else that a storage does, is inherited.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any

from dagster import DagsterEventType, EventLogEntry
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import Connection, String, Table, Text, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.exc import InterfaceError, OperationalError

from market_pipeline.dagster_storage import check_executions
from market_pipeline.dagster_storage.internals import (
    ASSET_EVENTS,
    ASSET_KEY_INDEX_COLS,
    BATCH_WRITABLE_EVENTS,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from market_pipeline.dagster_storage.log_lines import LogLines
from market_pipeline.dagster_storage.partition_events import (
    EACH,
    Repeated,
    insert_each,
    limit_to_partition,
    pair_with_partitions,
    repeat_row,
)
from market_pipeline.dagster_storage.pooling import Pooled
from market_pipeline.dagster_storage.serialization import EventSerializer, serialize_record

Row = dict[str, Any]

FEW_PARTITIONS = 20
"""The most partitions of an event whose rows are made here, and written with those of its neighbours by one statement.

Of more partitions, PostgreSQL makes the rows itself, in a statement for each event."""


@dataclass(frozen=True)
class _Written:
    """A stored event, its row and its ids: one id, or one for each partition.

    The event and the row are those of the last partition.
    """

    event: EventLogEntry
    row: Row
    ids: Sequence[int]


_ASSET_EVENT_TYPES = frozenset(kind.value for kind in ASSET_EVENTS)
_EVENT_COLUMNS = ("run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key", "partition")
_ASSET_COLUMNS = ("asset_key", "last_materialization", "last_run_id", "last_materialization_timestamp")


def _insert_in_order(table: Table, names: Sequence[str]) -> Insert:
    """Return an INSERT of rows in their order, whose parameters are one array for each column.

    Writing a whole run takes 10 % less time than with one row of VALUES for each event.
    """
    # A cast to VARCHAR(255) would truncate a value that the column rejects as too long.
    types = (Text() if isinstance(table.c[name].type, String) else table.c[name].type for name in names)
    arrays = (cast(bindparam(name), ARRAY(kind)) for name, kind in zip(names, types, strict=True))
    given = func.unnest(*arrays).table_valued(*names, with_ordinality="position").render_derived()
    return insert(table).from_select(names, select(*(given.c[name] for name in names)).order_by(given.c.position))


_INSERT_EVENTS = _insert_in_order(SqlEventLogStorageTable, _EVENT_COLUMNS).returning(SqlEventLogStorageTable.c.id)
_INSERT_ASSETS = _insert_in_order(AssetKeyTable, _ASSET_COLUMNS)
_UPSERT_ASSETS = _INSERT_ASSETS.on_conflict_do_update(
    index_elements=[AssetKeyTable.c.asset_key],
    # NULL stands for a column that this type of event doesn't change.
    set_={name: func.coalesce(_INSERT_ASSETS.excluded[name], AssetKeyTable.c[name]) for name in _ASSET_COLUMNS[1:]},
)

_WRITTEN_AT_ONCE = (logging.ERROR, logging.CRITICAL)
"""Levels of a log's lines that don't wait for others."""

_BATCHED = BATCH_WRITABLE_EVENTS | {DagsterEventType.ASSET_CHECK_EVALUATION}


class BulkPostgresEventLogStorage(Pooled, PostgresEventLogStorage):
    """The shipped event log, with a batch of events written by a few statements in one transaction.

    Dagster makes batches if DAGSTER_EVENT_BATCH_SIZE is above 0, and writes the events of a failed batch one by one. A
    batch is written as a whole or not at all, so that writing its events again duplicates none. Results of checks,
    which Dagster writes one by one, can be in a batch too. The shipped storage's NOTIFY with single events is left out:
    Dagster polls, and listens to it no more.

    A Dagster expert expects one planned event for a range of partitions. Here it becomes one event for each partition,
    because Dagster finds partitions in progress and failed ones by these. Measured: docs/performance.md, section 3.
    """

    KEPT = 2
    """One connection for the thread that writes events, one for the threads that write the log, one at a time."""

    def __init__(self, postgres_url: str, **options: Any) -> None:
        self._tables_seen: set[str] = set()
        self._serializer = EventSerializer()
        self._lines = LogLines(super().connect, self._report_lost_lines)
        super().__init__(postgres_url, **options)

    def connect(self, run_id: str | None = None) -> AbstractContextManager[Connection]:
        """Return a connection of the pool, once the log's lines that wait are stored."""
        self._lines.flush()
        return super().connect(run_id)

    def dispose(self) -> None:
        """Write the log's lines that wait, and close the kept connections; a later call opens another."""
        self._lines.close()
        super().dispose()

    def _report_lost_lines(self, error: Exception) -> None:
        if self.single_wait is None:  # a command meets the lost database again with the next event
            sys.stderr.write(f"Exception while writing logger calls to event log: {error}\n")  # as Dagster reports it

    def has_table(self, table_name: str) -> bool:
        """Return True if the table exists. The database is read only until it does: every batch calls this."""
        if table_name not in self._tables_seen and super().has_table(table_name):
            self._tables_seen.add(table_name)
        return table_name in self._tables_seen

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Accept one planned event for all partitions of an asset; one event for each partition is written."""
        return True

    def checks_whole_asset(self, check_name: str) -> bool:  # noqa: ARG002 - for subclasses
        """Return True if a check's results have no partition, although its runs have. Override to name such checks.

        Dagster plans every check with the run's partitions, a calendar's worth of JSON each time, and the shipped
        storage writes a row for each. A result without a partition leaves all of these at "planned" forever.
        """
        return False

    def store_event(self, event: EventLogEntry) -> None:
        """Write one event of any kind. A line of a log is written soon, with others."""
        if event.is_dagster_event:
            self._write(list(pair_with_partitions([event])))
            return
        try:
            self._lines.add(self._event_to_row(event), at_once=event.level in _WRITTEN_AT_ONCE)
        except (InterfaceError, OperationalError):
            # Dagster would print the error and try to record it. A command shows its lines on the terminal, and
            # meets the lost database again with the next event.
            if self.single_wait is None:
                raise

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of the kinds that Dagster batches, mixed or not, with ids that ascend in their order.

        Raises:
            ValueError: an event is of another kind.
        """
        kinds = {event.get_dagster_event().event_type for event in events}
        if not kinds <= _BATCHED:
            names = ", ".join(sorted(kind.value for kind in kinds - _BATCHED))
            raise ValueError(f"events of these kinds can't be written as a batch: {names}")
        stored = [event for event in events if not event.get_dagster_event().is_asset_failed_to_materialize]
        if stored:
            self._write(list(pair_with_partitions(stored)))

    def store_materializations(self, materialized: Iterable[tuple[Sequence[Repeated], EventLogEntry]]) -> None:
        """Write assets' materializations as one batch: for each asset its events of many partitions, then its last."""
        self._write([event for groups, last in materialized for event in (*groups, (last, None))])

    def _write(self, events: Sequence[Repeated]) -> None:
        with self.index_transaction() as connection:
            written = list(self._insert(connection, events))
            tagged = [
                (each.event, id_) for each in written if self._tags_for_asset_event(each.event) for id_ in each.ids
            ]
            self._store_asset_event_tags(connection, [event for event, _ in tagged], [id_ for _, id_ in tagged])
            check_executions.store(connection, [(each.event, each.row, each.ids[-1]) for each in written])
            # Last: other runs share these rows, which stay locked from here to the end of the transaction.
            if assets := self._asset_rows(written):
                connection.execute(_UPSERT_ASSETS, _build_arrays(assets, _ASSET_COLUMNS))

    def _insert(self, connection: Connection, events: Sequence[Repeated]) -> Iterator[_Written]:
        for by_value, neighbours in groupby(events, lambda repeated: len(repeated[1] or ()) <= FEW_PARTITIONS):
            if by_value:
                yield from self._insert_by_value(connection, neighbours)
            else:
                for event, partitions in neighbours:
                    assert partitions is not None  # noqa: S101 - for mypy
                    row = self._event_to_row(limit_to_partition(event, EACH))
                    ids = insert_each(connection, row, partitions)
                    (last,) = repeat_row(row, partitions[-1:])
                    yield _Written(limit_to_partition(event, partitions[-1]), last, ids)

    def _insert_by_value(self, connection: Connection, events: Iterable[Repeated]) -> Iterator[_Written]:
        """Insert all rows of events of few partitions by one statement."""
        of_events: list[tuple[EventLogEntry, list[Row]]] = []
        for event, partitions in events:
            if partitions is None:
                stored = self._as_stored(event)
                of_events.append((stored, [self._event_to_row(stored)]))
            elif partitions:
                row = self._event_to_row(limit_to_partition(event, EACH))
                of_events.append((limit_to_partition(event, partitions[-1]), list(repeat_row(row, partitions))))
        rows = [row for _, own in of_events for row in own]
        # Ids follow the order of the events, but RETURNING may give them in another.
        ids = iter(sorted(connection.scalars(_INSERT_EVENTS, _build_arrays(rows, _EVENT_COLUMNS))) if rows else ())
        yield from (_Written(event, own[-1], list(islice(ids, len(own)))) for event, own in of_events)

    def _event_to_row(self, event: EventLogEntry) -> Row:
        """Return the row that the shipped storage makes, serialized faster."""
        if not event.is_dagster_event:
            return super()._event_to_row(event)
        dagster_event = event.get_dagster_event()
        asset_key = dagster_event.asset_key
        return {
            "run_id": event.run_id,
            "event": self._serializer.serialize(event),
            "dagster_event_type": dagster_event.event_type_value,
            "timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "step_key": dagster_event.step_key,
            "asset_key": asset_key.to_string() if asset_key else None,
            "partition": dagster_event.partition or None,
        }

    def _as_stored(self, event: EventLogEntry) -> EventLogEntry:
        """Return the event, without partitions if it plans a check of a whole asset."""
        if check_executions.is_planned_check(event):
            planned = event.get_dagster_event().asset_check_planned_data
            if self.checks_whole_asset(planned.check_name):
                return check_executions.remove_partitions(event)
        return event

    def _asset_rows(self, written: Sequence[_Written]) -> list[Row]:
        """Return the rows of `asset_keys`, one for each asset, as if the events had been written one by one.

        They are sorted by asset, so that runs that write the same assets at once lock them in the same order.
        """
        newest = {
            (each.row["asset_key"], each.row["dagster_event_type"]): each
            for each in written
            if each.row["asset_key"] and each.row["dagster_event_type"] in _ASSET_EVENT_TYPES
        }
        assets: dict[str, Row] = {}
        for (asset, _), each in sorted(newest.items(), key=lambda item: item[1].ids[-1]):
            values = assets.setdefault(asset, dict.fromkeys(_ASSET_COLUMNS) | {"asset_key": asset})
            values.update(self._asset_values(each))
        return [assets[asset] for asset in sorted(assets)]

    def _asset_values(self, written: _Written) -> Row:
        """Return the columns of `asset_keys` that an event changes, without serializing a materialization again."""
        has_index = self.has_secondary_index(ASSET_KEY_INDEX_COLS)
        if not written.event.get_dagster_event().is_step_materialization:
            return self._get_asset_entry_values(written.event, written.ids[-1], has_index)
        at = datetime.fromtimestamp(written.event.timestamp, UTC)
        return {
            "last_materialization": serialize_record(written.ids[-1], written.row["event"]),
            "last_run_id": written.row["run_id"],
            **({"last_materialization_timestamp": at} if has_index else {}),
        }


def _build_arrays(rows: Sequence[Row], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}
