"""Dagster's instance for read-only commands: unlike run_launch.open_instance, it makes no database and no tables."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterInstance
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.settings import Settings
from market_pipeline.orchestration.instance_storage import DagsterDatabaseError, find_dagster_database_url
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import build_unavailable_error


@contextmanager
def open_existing_instance(settings: Settings, warehouse: Engine) -> Iterator[DagsterInstance | None]:
    """Open Dagster's instance; None if its tables have never been made.

    Args:
        settings: name its database.
        warehouse: the warehouse, which must be reachable; it may be on the same server.

    Raises:
        DagsterDatabaseError: the database can't be used.
    """
    if not _has_tables(settings, warehouse):
        yield None
        return
    with open_instance(settings) as instance:
        yield instance


def _has_tables(settings: Settings, warehouse: Engine) -> bool:
    address = find_dagster_database_url(settings)
    if settings.dagster_database_url is None and not _is_beside(warehouse, DatabaseAddress.parse(address).database):
        return False
    engine = create_warehouse_engine(address)
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(text("SELECT to_regclass('daemon_heartbeats') IS NOT NULL")))
    except DBAPIError as error:
        reason = build_unavailable_error(error, engine)
        raise DagsterDatabaseError(f"of Dagster's own, DAGSTER_DATABASE_URL: {reason}") from None
    finally:
        engine.dispose()


def _is_beside(warehouse: Engine, name: str) -> bool:
    known = text("SELECT count(*) > 0 FROM pg_database WHERE datname = :name")
    with warehouse.connect() as connection:
        return bool(connection.scalar(known, {"name": name}))
