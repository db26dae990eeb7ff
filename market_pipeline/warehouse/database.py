"""Connecting to the warehouse: which database, and its engine.

`open_warehouse` is the way in for everyone. Says nothing of what is in the tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.settings import MOST_CONNECTIONS, Settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.connection_pools import BoundedPool
from market_pipeline.warehouse.connections import connect_by
from market_pipeline.warehouse.database_errors import SchemaError, unavailable
from market_pipeline.warehouse.lost_connections import replace_lost_connections
from market_pipeline.warehouse.schema import check_known, current_revision, head_revision, migrate

KEPT = 5
"""Idle connections that an engine keeps, if it may have so many."""


def database_url(settings: Settings) -> SecretStr:
    """The warehouse's address: DATABASE_URL, or the embedded server's, which is started if it isn't running."""
    if settings.database_url is not None:
        return settings.database_url
    return embedded.ensure_running(settings.market_pipeline_data_dir).url()


def create_warehouse_engine(url: SecretStr, *, any_encoding: bool = False, most: int = MOST_CONNECTIONS) -> Engine:
    """An engine on `url` through psycopg 3, whose connections have the project's settings. Connects to nothing yet.

    Args:
        url: the database's address.
        any_encoding: whether the database may have another than UTF8: where others are made from it, and no text kept.
        most: the most connections at once, as DATABASE_MAX_CONNECTIONS.

    Raises:
        AddressError: it can't be read.
    """
    address = DatabaseAddress.of(url).url("postgresql+psycopg")
    engine = create_engine(
        address.get_secret_value(),
        hide_parameters=True,
        poolclass=BoundedPool,
        pool_size=min(KEPT, most),
        most=most,
    )
    connect_by(engine, any_encoding=any_encoding)
    replace_lost_connections(engine)
    return engine


def open_warehouse(settings: Settings) -> Engine:
    """An engine on the warehouse, reachable and with its schema in place.

    A new database gets the schema, and so does the embedded server's after an upgrade of this package. A database of
    the user's own that holds an older schema is left alone: `market-pipeline db migrate` is theirs to run.

    Raises:
        DatabaseUnavailableError: it can't be reached.
        SchemaError: it holds an older or newer schema.
    """
    engine = create_warehouse_engine(database_url(settings), most=settings.database_max_connections)
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
