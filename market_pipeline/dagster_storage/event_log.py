"""Dagster's event log on PostgreSQL, written in bulk. The rows are those of the storage that dagster-postgres ships.

A range run plans and records one event for every partition, and the shipped storage spends several statements and a
connection on each of most of them. Reading, and everything else that a storage does, is inherited.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dagster import AssetCheckEvaluation, DagsterEventType, EventLogEntry
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import Connection, String, Table, Text, bindparam, cast, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.exc import InterfaceError, OperationalError

from market_pipeline.dagster_storage.internals import (
    ASSET_EVENTS,
    ASSET_KEY_INDEX_COLS,
    BATCH_WRITABLE_EVENTS,
    AssetCheckEvaluationPlanned,
    AssetCheckExecutionRecordStatus,
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
    copy_record,
)
from market_pipeline.dagster_storage.partition_events import EACH, insert_each, of_partition, planned_partitions
from market_pipeline.dagster_storage.pooling import Pooled

Row = dict[str, Any]

_Repeated = tuple[EventLogEntry, Sequence[str] | None]
"""An event, and the partitions for each of which it is to be written; without any, as it is."""


@dataclass(frozen=True)
class _Written:
    """An event that was written, its row and id; one that was repeated stands for all, with its last partition."""

    event: EventLogEntry
    row: Row
    ids: Sequence[int]


_ASSET_EVENT_TYPES = frozenset(kind.value for kind in ASSET_EVENTS)
_EVENT_COLUMNS = ("run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key", "partition")
_ASSET_COLUMNS = ("asset_key", "last_materialization", "last_run_id", "last_materialization_timestamp")


def _insert_in_order(table: Table, names: Sequence[str]) -> Insert:
    """An INSERT of any number of rows, in their order, whose parameters are an array a column.

    A whole run is written 10 % faster so than with a row of VALUES an event.
    """
    # A cast to VARCHAR(255) would cut off what is too long, where the column refuses it.
    types = (Text() if isinstance(table.c[name].type, String) else table.c[name].type for name in names)
    arrays = (cast(bindparam(name), ARRAY(kind)) for name, kind in zip(names, types, strict=True))
    given = func.unnest(*arrays).table_valued(*names, with_ordinality="position").render_derived()
    return insert(table).from_select(names, select(*(given.c[name] for name in names)).order_by(given.c.position))


_INSERT_EVENTS = _insert_in_order(SqlEventLogStorageTable, _EVENT_COLUMNS).returning(SqlEventLogStorageTable.c.id)
_INSERT_ASSETS = _insert_in_order(AssetKeyTable, _ASSET_COLUMNS)
_UPSERT_ASSETS = _INSERT_ASSETS.on_conflict_do_update(
    index_elements=[AssetKeyTable.c.asset_key],
    # A kind of event that says nothing about a column leaves NULL there, and the column as it was.
    set_={name: func.coalesce(_INSERT_ASSETS.excluded[name], AssetKeyTable.c[name]) for name in _ASSET_COLUMNS[1:]},
)

# A line of a run's log, beside which nothing else is to be written. It isn't waited for until it is on the disk: the
# last lines may be lost with a server that crashes, but what they tell of is waited for, and is in tables of its own.
_INSERT_LINE = text(f"""
    INSERT INTO {SqlEventLogStorageTable.name} (run_id, event, timestamp, step_key)
    SELECT :run_id, :event, :timestamp, :step_key FROM set_config('synchronous_commit', 'off', true)
""")  # noqa: S608 - a table's name

_RESULT_COLUMNS = ("asset_key", "check_name", "run_id", "execution_status", "evaluation_event",
                   "evaluation_event_timestamp", "evaluation_event_storage_id")  # fmt: skip
_RECORD_RESULTS = text("""
    WITH result AS (
        SELECT * FROM unnest(
            CAST(:asset_key AS text[]), CAST(:check_name AS text[]), CAST(:run_id AS text[]),
            CAST(:execution_status AS text[]), CAST(:evaluation_event AS text[]),
            CAST(:evaluation_event_timestamp AS timestamp[]), CAST(:evaluation_event_storage_id AS bigint[])
        ) AS row (asset_key, check_name, run_id, status, event, at, event_id)
    ),
    planned AS (
        UPDATE asset_check_executions AS held
        SET execution_status = status, evaluation_event = event, evaluation_event_timestamp = at,
            evaluation_event_storage_id = event_id
        FROM result
        WHERE (held.asset_key, held.check_name, held.run_id) = (result.asset_key, result.check_name, result.run_id)
          AND held.partition IS NULL
        RETURNING held.asset_key, held.check_name, held.run_id
    )
    INSERT INTO asset_check_executions (
        asset_key, check_name, run_id, execution_status, evaluation_event, evaluation_event_timestamp,
        evaluation_event_storage_id
    )
    SELECT * FROM result WHERE (asset_key, check_name, run_id) NOT IN (SELECT * FROM planned)
""")
_BATCHED = BATCH_WRITABLE_EVENTS | {DagsterEventType.ASSET_CHECK_EVALUATION}


class BulkPostgresEventLogStorage(Pooled, PostgresEventLogStorage):
    """The shipped storage, but a batch of events is a few statements in one transaction on a kept connection.

    Dagster only makes batches where DAGSTER_EVENT_BATCH_SIZE is above 0, and writes the events of a batch that failed
    one by one. As a batch is written as a whole or not at all, that can't double any. Results of checks, which Dagster
    writes one by one, can be in a batch too. The NOTIFY that the shipped storage sends with single events is left out:
    nothing has listened to it since Dagster polls.
    """

    KEPT = 2
    """A run writes what it has to say of its assets from one thread, and its log from others, one at a time."""

    def __init__(self, postgres_url: str, **options: Any) -> None:
        self._tables_seen: set[str] = set()
        super().__init__(postgres_url, **options)

    def has_table(self, table_name: str) -> bool:
        """Whether the table exists; asked of the database only until it does, as it is asked with every batch."""
        if table_name not in self._tables_seen and super().has_table(table_name):
            self._tables_seen.add(table_name)
        return table_name in self._tables_seen

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """That Dagster may plan all partitions of an asset by one event; what is written is an event of each.

        Only by these does Dagster know later which partitions are in progress and which failed.
        """
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Write one event of any kind."""
        if not event.is_dagster_event:
            try:
                with self.index_connection() as connection:
                    connection.execute(_INSERT_LINE, self._event_to_row(event))
            except (InterfaceError, OperationalError):
                # Dagster would print that, and try to record it. A command shows its lines on the terminal, and finds
                # the loss by what it records next.
                if not self.gives_up:
                    raise
            return
        written = self._write([(event, planned_partitions(event))])
        if event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            self.store_asset_check_event(event, written[0].ids[0])

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
            self._write([(event, planned_partitions(event)) for event in stored], with_results=True)

    def store_materializations(
        self, groups: Sequence[tuple[EventLogEntry, Sequence[str]]], last: EventLogEntry
    ) -> None:
        """Write each group's materialization once for each of its partitions, and then `last`, as one batch."""
        self._write([*groups, (last, None)])

    def _write(self, events: Sequence[_Repeated], *, with_results: bool = False) -> list[_Written]:
        with self.index_transaction() as connection:
            written = list(self._insert(connection, events))
            tagged = [
                (each.event, id_) for each in written if self._tags_for_asset_event(each.event) for id_ in each.ids
            ]
            self._store_asset_event_tags(connection, [event for event, _ in tagged], [id_ for _, id_ in tagged])
            if planned_checks := [row for each in written if (row := _planned_check_row(each))]:
                connection.execute(insert(AssetCheckExecutionsTable), planned_checks)
            if results := [row for each in written if with_results and (row := _check_result_row(each))]:
                connection.execute(_RECORD_RESULTS, _arrays(results, _RESULT_COLUMNS))
            # Last, because these rows are shared with other runs, and locked from here to the end.
            if assets := self._asset_rows(written):
                connection.execute(_UPSERT_ASSETS, _arrays(assets, _ASSET_COLUMNS))
        return written

    def _insert(self, connection: Connection, events: Sequence[_Repeated]) -> Iterator[_Written]:
        for each_is_alone, neighbours in groupby(events, lambda repeated: repeated[1] is None):
            if each_is_alone:
                alone = [_about_the_whole_asset(event) for event, _ in neighbours]
                rows = [self._event_to_row(event) for event in alone]
                # The ids were handed out in the order of the events, but may be returned in another.
                ids = sorted(connection.scalars(_INSERT_EVENTS, _arrays(rows, _EVENT_COLUMNS)))
                yield from (_Written(event, row, [id_]) for event, row, id_ in zip(alone, rows, ids, strict=True))
            else:
                for event, partitions in neighbours:
                    if partitions:
                        row = self._event_to_row(of_partition(event, EACH))
                        yield _Written(
                            of_partition(event, partitions[-1]), row, insert_each(connection, row, partitions)
                        )

    def _asset_rows(self, written: Sequence[_Written]) -> list[Row]:
        """What the events leave behind in `asset_keys`, a row an asset, as if they had been written one after another.

        Sorted by asset, so that runs that write the same assets at the same time lock them in the same order.
        """
        newest = {
            (each.row["asset_key"], each.row["dagster_event_type"]): each
            for each in written
            if each.row["asset_key"] and each.row["dagster_event_type"] in _ASSET_EVENT_TYPES
        }
        assets: dict[str, Row] = {}
        for (asset, _), each in sorted(newest.items(), key=lambda item: item[1].ids[-1]):
            values = self._get_asset_entry_values(
                each.event, each.ids[-1], self.has_secondary_index(ASSET_KEY_INDEX_COLS)
            )
            assets.setdefault(asset, dict.fromkeys(_ASSET_COLUMNS) | {"asset_key": asset}).update(values)
        return [assets[asset] for asset in sorted(assets)]


def _arrays(rows: Sequence[Row], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


def _about_the_whole_asset(event: EventLogEntry) -> EventLogEntry:
    """The event, without partitions where it plans a check.

    The project's checks are about an asset as a whole. Dagster plans them with the run's partitions all the same, a
    calendar's worth of JSON each time, and shipped storage writes a row for each partition, which no result ever finds.
    """
    if event.dagster_event_type is not DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        return event
    planned = event.get_dagster_event()
    whole = copy_record(planned.asset_check_planned_data, partitions_subset=None)
    return event._replace(dagster_event=planned._replace(event_specific_data=whole))


def _planned_check_row(written: _Written) -> Row | None:
    """The row in `asset_check_executions` that waits for the result of a check, where the event plans one."""
    if written.event.dagster_event_type is not DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        return None
    planned = written.event.get_dagster_event().asset_check_planned_data
    return _check_row(planned, AssetCheckExecutionRecordStatus.PLANNED, written)


def _check_result_row(written: _Written) -> Row | None:
    """What that row becomes with the result, where the event is one."""
    if written.event.dagster_event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    result = written.event.get_dagster_event().asset_check_evaluation_data
    passed, failed = AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED
    return _check_row(result, passed if result.passed else failed, written)


def _check_row(
    check: AssetCheckEvaluationPlanned | AssetCheckEvaluation,
    status: AssetCheckExecutionRecordStatus,
    written: _Written,
) -> Row:
    return {
        "asset_key": check.asset_key.to_string(),
        "check_name": check.check_name,
        "partition": None,
        "run_id": written.row["run_id"],
        "execution_status": status.value,
        "evaluation_event": written.row["event"],
        "evaluation_event_timestamp": written.row["timestamp"],
        "evaluation_event_storage_id": written.ids[-1],
    }
