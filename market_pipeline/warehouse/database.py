"""Engines on the warehouse's database.

Everyone opens it by `open_warehouse`, which also brings its schema into place.
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
from market_pipeline.warehouse.connections import install_connector
from market_pipeline.warehouse.database_errors import SchemaError, build_unavailable_error
from market_pipeline.warehouse.lost_connections import replace_lost_connections
from market_pipeline.warehouse.schema import check_known, find_head_revision, read_revision
from market_pipeline.warehouse.upgrade import upgrade

KEPT = 5
"""Idle connections that an engine keeps, if it may have so many."""


def find_database_url(settings: Settings) -> SecretStr:
    """Return the warehouse's address: DATABASE_URL, or the embedded server's, which is started if need be."""
    if settings.database_url is not None:
        return settings.database_url
    return embedded.ensure_running(settings.market_pipeline_data_dir).url()


def create_warehouse_engine(url: SecretStr, *, any_encoding: bool = False, most: int = MOST_CONNECTIONS) -> Engine:
    """Make an engine on `url` through psycopg 3 with the project's settings. It connects to nothing yet.

    Args:
        url: the database's address.
        any_encoding: accept another encoding than UTF8, for a database that only serves to make others.
        most: limit on connections at once, as DATABASE_MAX_CONNECTIONS.

    Raises:
        AddressError: it can't be read.
    """
    address = DatabaseAddress.parse(url).url("postgresql+psycopg")
    engine = create_engine(
        address.get_secret_value(),
        hide_parameters=True,
        poolclass=BoundedPool,
        pool_size=min(KEPT, most),
        most=most,
    )
    install_connector(engine, any_encoding=any_encoding)
    replace_lost_connections(engine)
    return engine


def open_warehouse(settings: Settings) -> Engine:
    """Return an engine on the warehouse, reachable and with its schema in place.

    A new database gets the schema, and so does the embedded server's after an upgrade of this package. A database of
    the user's own that holds an older schema is left alone: `market-pipeline db migrate` is theirs to run.

    Raises:
        DatabaseUnavailableError: it can't be reached.
        SchemaError: it holds an older or newer schema, or there is no space for the upgrade.
    """
    engine = create_warehouse_engine(find_database_url(settings), most=settings.database_max_connections)
    try:
        with engine.connect() as connection:
            revision = read_revision(connection)
    except (OperationalError, ProgrammingError) as error:
        raise build_unavailable_error(error, engine) from None
    if revision == find_head_revision():
        return engine
    if revision is not None and settings.database_url is not None:
        check_known(revision)
        raise SchemaError(
            f"the database's schema is revision {revision}, this version needs {find_head_revision()}: "
            "run `market-pipeline db migrate`"
        )
    upgrade(engine, settings)
    return engine


@contextmanager
def warehouse_of(settings: Settings) -> Iterator[Engine]:
    """Open the warehouse inside the block; its connections are closed on leaving."""
    engine = open_warehouse(settings)
    try:
        yield engine
    finally:
        engine.dispose()
