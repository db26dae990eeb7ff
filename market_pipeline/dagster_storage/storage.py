"""All of Dagster's storage in one PostgreSQL database: runs, events and schedules, on kept connections."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from dagster import Field, StringSource
from dagster_postgres import PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import Connection, create_engine, inspect, text

from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.internals import (
    ConfigurableClass,
    ConfigurableClassData,
    DagsterStorage,
    UserConfigSchema,
)
from market_pipeline.dagster_storage.pooling import Pooled

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
DEFAULT_BATCH_SIZE = 1000

TABLES = {"runs", "instance_info", "event_logs", "jobs"}
"""One table of each part, by which a part finds its tables made; those of a part are made all at once."""

_TABLES_LOCK = 7_310_532
"""Advisory lock held while tables are made: any number that no other program of this database locks."""


class PooledRunStorage(Pooled, PostgresRunStorage):
    """The shipped run storage on kept connections."""

    _has_times = False

    def has_run_stats_index_cols(self) -> bool:
        """Return True if runs have columns for their times; the database is read only until they have."""
        self._has_times = self._has_times or super().has_run_stats_index_cols()
        return self._has_times

    def has_execution_plan_snapshot(self, execution_plan_snapshot_id: str) -> bool:
        """Return True if the plan is stored, without reading it, which takes a second for thousands of assets."""
        return self._has_snapshot_id(execution_plan_snapshot_id)


class PooledScheduleStorage(Pooled, PostgresScheduleStorage):
    """The shipped schedule storage on kept connections."""


class BulkPostgresStorage(DagsterStorage, ConfigurableClass):
    """Dagster's storage with events written in bulk. Name it in dagster.yaml under `storage: custom:`.

    Args:
        postgres_url: SQLAlchemy's address of the database, for psycopg2.
        inst_data: the entry of dagster.yaml that names this class.
        options: keyword arguments of all three parts, such as `should_autocreate_tables`.
    """

    run_storage_class: ClassVar[type[PooledRunStorage]] = PooledRunStorage
    event_log_storage_class: ClassVar[type[BulkPostgresEventLogStorage]] = BulkPostgresEventLogStorage
    schedule_storage_class: ClassVar[type[PooledScheduleStorage]] = PooledScheduleStorage

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None, **options: Any) -> None:
        self._inst_data = inst_data
        self._run_storage = self.run_storage_class(postgres_url, **options)
        self._event_log_storage = self.event_log_storage_class(postgres_url, **options)
        self._schedule_storage = self.schedule_storage_class(postgres_url, **options)
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def open(
        cls,
        connection: Connection,
        postgres_url: str,
        inst_data: ConfigurableClassData | None = None,
        **options: Any,
    ) -> Self:
        """Return the storage, its tables made where they are missing, one process at a time.

        Args:
            connection: to the database, in a transaction, which keeps other processes waiting until it ends.
            postgres_url: as the class takes it.
            inst_data: as the class takes it.
            options: as the class takes them.
        """
        # Each process that finds no tables makes them, and of several at once all but one would fail.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _TABLES_LOCK})
        made = TABLES.issubset(inspect(connection).get_table_names())
        storage = cls(postgres_url, inst_data, should_autocreate_tables=not made, **options)
        storage.finish()
        return storage

    def finish(self) -> None:
        """Mark the data migrations that new tables don't need, in case the process that made them was killed before."""
        if self._run_storage.get_run_ids(limit=1):
            return  # older records are for `dagster instance migrate`
        self._run_storage.migrate()
        self._run_storage.optimize()
        self._event_log_storage.reindex_events()
        self._event_log_storage.reindex_assets()
        self._schedule_storage.migrate()
        self._schedule_storage.optimize()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """The entry of dagster.yaml that names this class; every process of Dagster makes its storage from it."""
        return self._inst_data

    @classmethod
    def batch_size_field(cls) -> dict[str, Field]:
        """Return the field `event_batch_size` of `config:` in dagster.yaml."""
        return {
            "event_batch_size": Field(
                int,
                default_value=DEFAULT_BATCH_SIZE,
                description=f"The most events written in one transaction; the variable {BATCH_SIZE_VARIABLE} wins.",
            )
        }

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return the fields of `config:` in dagster.yaml."""
        return {"postgres_url": StringSource, **cls.batch_size_field()}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return the storage of an entry in dagster.yaml, its tables made where they are missing.

        Raises:
            sqlalchemy.exc.DBAPIError: the database can't be reached.
        """
        set_batch_size(config_value["event_batch_size"])
        engine = create_engine(config_value["postgres_url"])
        try:
            with engine.begin() as connection:
                return cls.open(connection, config_value["postgres_url"], inst_data)
        finally:
            engine.dispose()

    @property
    def run_storage(self) -> PooledRunStorage:
        """Runs, their tags, backfills and daemon heartbeats."""
        return self._run_storage

    @property
    def event_log_storage(self) -> BulkPostgresEventLogStorage:
        """Events, and the tables of assets and checks that follow from them."""
        return self._event_log_storage

    @property
    def schedule_storage(self) -> PooledScheduleStorage:
        """The state and ticks of schedules and sensors."""
        return self._schedule_storage

    def dispose(self) -> None:
        """Close the kept connections of all parts."""
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part.dispose()


def set_batch_size(size: int) -> None:
    """Have this process write up to `size` events at once, unless its environment has a size already.

    Dagster reads the environment each time it stores an event, and has no other setting for it.
    """
    os.environ.setdefault(BATCH_SIZE_VARIABLE, str(size))
