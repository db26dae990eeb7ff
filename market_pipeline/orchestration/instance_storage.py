"""Dagster's storage in the project's PostgreSQL: runs, events and schedules at the address that the settings give.

dagster.yaml names it as `storage: custom:`. Every process of Dagster makes its own storage and reads the address from
the settings, so neither that file nor the copy that Dagster hands to its child processes holds one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import DagsterRun
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import DatabaseAddress, describe
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import MOST_CONNECTIONS, Settings, load_settings
from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.internals import (
    ConfigurableClassData,
    TimeWindowPartitionsSubset,
    UserConfigSchema,
)
from market_pipeline.dagster_storage.pooling import Pooled
from market_pipeline.dagster_storage.storage import (
    BulkPostgresStorage,
    PooledRunStorage,
    PooledScheduleStorage,
    set_batch_size,
)
from market_pipeline.orchestration.partitions import PARTITION_TAG, RANGE_TAGS, check_partition_key
from market_pipeline.quality.symbol_health import CHECKS
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.connection_pools import BoundedPool
from market_pipeline.warehouse.connections import ENCODING, install_connector
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import build_unavailable_error, read_first_line, suggest_fix
from market_pipeline.warehouse.lost_connections import replace_lost_connections


class DagsterDatabaseError(MarketPipelineError):
    """Dagster's own database can't be used."""


class BoundedConnections(Pooled):
    """Mixin that opens connections as the warehouse does. List it before a part of the storage.

    DATABASE_MAX_CONNECTIONS limits the threads of a process that have connections, of the warehouse or of Dagster; each
    connection has the session settings of warehouse/connections.py; one that was lost is replaced without a query.
    """

    def __init__(self, postgres_url: str, *, most: int = MOST_CONNECTIONS, **options: Any) -> None:
        self._most = most
        super().__init__(postgres_url, **options)

    def pool_options(self) -> dict[str, Any]:
        """Return SQLAlchemy's options of the pool."""
        return {"poolclass": BoundedPool, "most": self._most}

    def prepare_engine(self, engine: Engine) -> None:
        """Give each connection the session settings of warehouse/connections.py."""
        install_connector(engine)

    def create_engine(self, postgres_url: str) -> Engine:
        """Return the engine whose connections are kept."""
        engine = super().create_engine(postgres_url)
        replace_lost_connections(engine)
        return engine


class MarketPipelineRunStorage(BoundedConnections, PooledRunStorage):
    """Runs, their tags, backfills and daemon heartbeats. Runs over partitions that are no sessions are rejected."""

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Store a new run. Every process that starts one calls this before anything of the run is planned.

        Raises:
            PartitionError: a partition that the run covers, or a bound of its range, is no session.
        """
        if isinstance(dagster_run.partitions_subset, TimeWindowPartitionsSubset):
            for tag in (PARTITION_TAG, *RANGE_TAGS):
                if tag in dagster_run.tags:
                    check_partition_key(dagster_run.partitions_subset.partitions_def, dagster_run.tags[tag])
        return super().add_run(dagster_run)


class MarketPipelineEventLogStorage(BoundedConnections, BulkPostgresEventLogStorage):
    """Events, and the tables of assets and checks that follow from them."""

    def checks_whole_asset(self, check_name: str) -> bool:
        """Return True for the checks of a symbol: they look at all sessions, whichever the run has loaded."""
        return check_name in CHECKS


class MarketPipelineScheduleStorage(BoundedConnections, PooledScheduleStorage):
    """The state and ticks of schedules and sensors."""


class MarketPipelineStorage(BulkPostgresStorage):
    """Dagster's storage, in the database that the settings name."""

    run_storage_class = MarketPipelineRunStorage
    event_log_storage_class = MarketPipelineEventLogStorage
    schedule_storage_class = MarketPipelineScheduleStorage

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return the fields of `config:` in dagster.yaml."""
        return cls.batch_size_field()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "MarketPipelineStorage":
        """Return the storage that the settings describe; make its database and tables if they are missing.

        Raises:
            MarketPipelineError: the settings are wrong, or the database can't be reached or made.
        """
        set_batch_size(config_value["event_batch_size"])
        return open_storage(load_settings(), inst_data)


def find_dagster_database_url(settings: Settings) -> SecretStr:
    """Return the address of Dagster's own database, for SQLAlchemy and psycopg2, the driver of dagster-postgres.

    It is DAGSTER_DATABASE_URL; else `<database>_dagster` beside the database of DATABASE_URL; else a database of the
    embedded server, which is started if it isn't running.
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
    """Return the storage in Dagster's own database; make a missing one beside the database of DATABASE_URL.

    Raises:
        DagsterDatabaseError: the database can't be reached or made, or is the warehouse's.
    """
    url = find_dagster_database_url(settings)
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
        address, most = url.get_secret_value(), settings.database_max_connections
        return MarketPipelineStorage.open(connection, address, inst_data, most=most)


def create_database(connection: Connection, name: str) -> None:
    """Create the database `name` on the server of `connection`, unless it exists.

    Raises:
        DagsterDatabaseError: it can't be created, for example because the role may not.
    """
    connection.execution_options(isolation_level="AUTOCOMMIT")
    if _has_database(connection, name):
        return
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    try:
        connection.execute(text(f"CREATE DATABASE {quoted} ENCODING '{ENCODING}' TEMPLATE template0"))
    except DBAPIError as error:
        if not _has_database(connection, name):  # else another process has just created it
            may_not = isinstance(error.orig, InsufficientPrivilege)
            step = (
                f"Have a role that may run CREATE DATABASE {quoted}, or set DAGSTER_DATABASE_URL to a database that is "
                "there."
            )
            raise DagsterDatabaseError(
                f"Dagster's own database {name} can't be created: {read_first_line(error)}. "
                f"{step if may_not else suggest_fix(error)}"
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
        raise DagsterDatabaseError(f"Dagster's own database: {build_unavailable_error(error, engine)}") from None
    finally:
        engine.dispose()
