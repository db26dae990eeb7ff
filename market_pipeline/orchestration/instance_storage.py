"""Where Dagster keeps its runs, events and schedules: PostgreSQL, as the project's settings say.

Named in dagster.yaml as `storage: custom:`. Every process of Dagster's makes its own from there and asks the settings
for the address, so neither that file nor what Dagster hands to its child processes holds one.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import DagsterRun, Field
from dagster_postgres import PostgresRunStorage, PostgresScheduleStorage
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import DatabaseAddress, describe
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import MOST_CONNECTIONS, Settings, load_settings
from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.internals import (
    ConfigurableClass,
    ConfigurableClassData,
    DagsterStorage,
    TimeWindowPartitionsSubset,
    UserConfigSchema,
)
from market_pipeline.dagster_storage.pooling import Pooled
from market_pipeline.orchestration.partitions import PARTITION_TAG, RANGE_TAGS, check_partition_key
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.connections import ENCODING
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import first_line, remedy, unavailable_error

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
DEFAULT_BATCH_SIZE = 1000

TABLES = {"runs", "instance_info", "event_logs", "jobs"}
"""The tables by which the parts of the storage tell whether theirs are there; each part's are made all at once."""

_TABLES_LOCK = 7_310_532  # any constant that nobody else locks


class DagsterDatabaseError(MarketPipelineError):
    """Dagster's own database can't be used."""


class PooledRunStorage(Pooled, PostgresRunStorage):
    """The shipped run storage on a kept connection. It takes no run whose partitions are no sessions."""

    _has_times = False

    def has_run_stats_index_cols(self) -> bool:
        """Whether runs have columns for their times; asked of the database only until they do, as it is asked often."""
        self._has_times = self._has_times or super().has_run_stats_index_cols()
        return self._has_times

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Store a new run. Every process of Dagster's that starts one comes by here, before anything of it is planned.

        Raises:
            PartitionError: a partition that it is to cover, or to cover from or to, is no session.
        """
        if isinstance(dagster_run.partitions_subset, TimeWindowPartitionsSubset):
            for tag in (PARTITION_TAG, *RANGE_TAGS):
                if tag in dagster_run.tags:
                    check_partition_key(dagster_run.partitions_subset.partitions_def, dagster_run.tags[tag])
        return super().add_run(dagster_run)


class PooledScheduleStorage(Pooled, PostgresScheduleStorage):
    """The shipped schedule storage on a kept connection."""


class MarketPipelineStorage(DagsterStorage, ConfigurableClass):
    """All of Dagster's storage in one database of PostgreSQL's, with events written in bulk.

    Args:
        url: the database's address.
        inst_data: what dagster.yaml says of this class.
        make_tables: whether each part is to look, on two connections of its own, for its tables, and to make them.
        most: the most connections of the process at once, as DATABASE_MAX_CONNECTIONS.
    """

    def __init__(
        self,
        url: SecretStr,
        inst_data: ConfigurableClassData | None = None,
        *,
        make_tables: bool = True,
        most: int = MOST_CONNECTIONS,
    ) -> None:
        address = url.get_secret_value()
        options: dict[str, Any] = {"should_autocreate_tables": make_tables, "most": most}
        self._inst_data = inst_data
        self._run_storage = PooledRunStorage(address, **options)
        self._event_log_storage = BulkPostgresEventLogStorage(address, **options)
        self._schedule_storage = PooledScheduleStorage(address, **options)
        super().__init__()  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Mark what new tables have no need of, where the maker of the tables was killed before it did."""
        if self._run_storage.get_run_ids(limit=1):
            return  # in use for long: bringing older records up to date is for `dagster instance migrate`
        self._run_storage.migrate()
        self._run_storage.optimize()
        self._event_log_storage.reindex_events()
        self._event_log_storage.reindex_assets()
        self._schedule_storage.migrate()
        self._schedule_storage.optimize()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What dagster.yaml says of this class; Dagster makes it again from that in every process."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The keys under `config:` in dagster.yaml."""
        return {
            "event_batch_size": Field(
                int,
                default_value=DEFAULT_BATCH_SIZE,
                description=f"The most events written in one transaction; the variable {BATCH_SIZE_VARIABLE} wins.",
            )
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "MarketPipelineStorage":
        """The storage that the settings describe, its database and tables made where they are missing.

        Raises:
            MarketPipelineError: the settings are wrong, or the database can't be reached or made.
        """
        # Dagster asks the environment whether and how much to batch, each time it stores an event; there is no other
        # way to tell it.
        os.environ.setdefault(BATCH_SIZE_VARIABLE, str(config_value["event_batch_size"]))
        return open_storage(load_settings(), inst_data)

    @property
    def run_storage(self) -> PooledRunStorage:
        """Runs, their tags, backfills and daemon heartbeats."""
        return self._run_storage

    @property
    def event_log_storage(self) -> BulkPostgresEventLogStorage:
        """Events, and what is derived from them about assets and checks."""
        return self._event_log_storage

    @property
    def schedule_storage(self) -> PooledScheduleStorage:
        """The state and ticks of schedules and sensors."""
        return self._schedule_storage


def dagster_database_url(settings: Settings) -> SecretStr:
    """The address of Dagster's own database, as SQLAlchemy's for psycopg2, the driver that dagster-postgres works with.

    That is DAGSTER_DATABASE_URL; else `<database>_dagster` beside the one of DATABASE_URL; else the embedded server's,
    which is started if it isn't running.
    """
    if settings.dagster_database_url is not None:
        address = DatabaseAddress.parse(settings.dagster_database_url)
    elif settings.database_url is not None:
        warehouse = DatabaseAddress.parse(settings.database_url)
        address = warehouse.for_database(f"{warehouse.database}_dagster")
    else:
        server = embedded.ensure_running(settings.market_pipeline_data_dir)
        address = DatabaseAddress.parse(server.url("market_data_dagster"))
    return address.url("postgresql+psycopg2")


def open_storage(settings: Settings, inst_data: ConfigurableClassData | None = None) -> MarketPipelineStorage:
    """The storage in Dagster's own database, which is made, beside the one of DATABASE_URL, where it is missing.

    Raises:
        DagsterDatabaseError: it can't be reached or made, or is the warehouse's.
    """
    url = dagster_database_url(settings)
    if settings.database_url is not None:
        if describe(url) == describe(settings.database_url):
            raise DagsterDatabaseError(
                f"DAGSTER_DATABASE_URL names the warehouse's own database, {describe(url)}: both keep a table "
                "alembic_version, so give Dagster another database or unset the variable."
            )
        if settings.dagster_database_url is None:
            with _connected(settings.database_url) as connection:
                create_database(connection, DatabaseAddress.parse(url).database)
    with _connected(url) as connection:
        # Whoever finds no tables makes them, and of several processes that do so at once all but one would fail.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _TABLES_LOCK})
        made = TABLES.issubset(inspect(connection).get_table_names())
        storage = MarketPipelineStorage(url, inst_data, make_tables=not made, most=settings.database_max_connections)
        storage.finish()
        return storage


def create_database(connection: Connection, name: str) -> None:
    """Make the database `name` on the server of `connection`, unless it is there.

    Raises:
        DagsterDatabaseError: it can't be made, for instance because the role may not.
    """
    connection.execution_options(isolation_level="AUTOCOMMIT")
    if _has_database(connection, name):
        return
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    try:
        connection.execute(text(f"CREATE DATABASE {quoted} ENCODING '{ENCODING}' TEMPLATE template0"))
    except DBAPIError as error:
        if not _has_database(connection, name):  # else another process was quicker
            may_not = isinstance(error.orig, InsufficientPrivilege)
            step = (
                f"Have a role that may run CREATE DATABASE {quoted}, or set DAGSTER_DATABASE_URL to a database that is "
                "there."
            )
            raise DagsterDatabaseError(
                f"Dagster's own database {name} can't be created: {first_line(error)}. "
                f"{step if may_not else remedy(error)}"
            ) from None


def _has_database(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": name}))


@contextmanager
def _connected(url: SecretStr) -> Iterator[Connection]:
    engine = create_warehouse_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise DagsterDatabaseError(f"Dagster's own database: {unavailable_error(error, engine)}") from None
    finally:
        engine.dispose()
