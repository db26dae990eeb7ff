"""Connecting to the warehouse: which database, and its engine.

`open_warehouse` is the way in for everyone. Says nothing of what is in the tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from market_pipeline.settings import Settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.errors import SchemaError, unavailable
from market_pipeline.warehouse.lost_connections import replace_lost_connections
from market_pipeline.warehouse.schema import check_known, current_revision, head_revision


def database_url(settings: Settings) -> SecretStr:
    """The warehouse's address: DATABASE_URL, or the embedded server's, which is started if it isn't running."""
    if settings.database_url is not None:
        return settings.database_url
    return embedded.ensure_running(settings.market_pipeline_data_dir).url()


def create_warehouse_engine(url: SecretStr) -> Engine:
    """An engine on `url` through psycopg 3, in UTC whatever server and environment say. Connects to nothing yet."""
    address = make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    engine = create_engine(
        address,
        connect_args={"connect_timeout": 10, "application_name": "market_pipeline"},
        hide_parameters=True,
    )
    replace_lost_connections(engine)
    event.listen(engine, "connect", _in_utc)
    return engine


def _in_utc(connection: Any, _record: object) -> None:
    # Not by the connection's options: PGTZ has the last word over those, and the address may bring its own.
    connection.execute("SET timezone TO 'UTC'")
    connection.execute("SET datestyle TO 'ISO'")
    connection.commit()


def open_warehouse(settings: Settings) -> Engine:
    """An engine on the warehouse, reachable and with its schema in place.

    A new database gets the schema, and so does the embedded server's after an upgrade of this package. A database of
    the user's own that holds an older schema is left alone: `market-pipeline db migrate` is theirs to run.

    Raises:
        DatabaseUnavailableError: it can't be reached.
        SchemaError: it holds an older or newer schema.
    """
    engine = create_warehouse_engine(database_url(settings))
    try:
        with engine.connect() as connection:
            found = current_revision(connection)
    except (OperationalError, ProgrammingError) as error:
        raise unavailable(error, engine) from None
    if found == head_revision():
        return engine
    if found is not None and settings.database_url is not None:
        check_known(found)
        raise SchemaError(
            f"the database's schema is revision {found}, this version needs {head_revision()}: "
            "run `market-pipeline db migrate`"
        )
    from market_pipeline.warehouse.migrating import migrate  # alembic, which few need

    migrate(engine)
    return engine


@contextmanager
def warehouse_of(settings: Settings) -> Iterator[Engine]:
    """`open_warehouse` for a while: its connections are closed on leaving."""
    engine = open_warehouse(settings)
    try:
        yield engine
    finally:
        engine.dispose()
