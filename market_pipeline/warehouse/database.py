"""Connecting to the warehouse: which database, its engine, and its schema brought up to date.

`open_warehouse` is the way in for everyone. Says nothing of what is in the tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from market_pipeline.errors import MarketPipelineError
from market_pipeline.settings import Settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.session_calendar import record_sessions
from market_pipeline.warehouse.statements import views

_MIGRATION_LOCK = 7_310_531  # any constant: one migration of a database at a time


class DatabaseUnavailableError(MarketPipelineError):
    """The database can't be reached, or refuses us."""


class SchemaError(MarketPipelineError):
    """The database's schema is not the one this version works with."""


def database_url(settings: Settings) -> SecretStr:
    """The warehouse's address: DATABASE_URL, or the embedded server's, which is started if it isn't running."""
    if settings.database_url is not None:
        return settings.database_url
    return embedded.ensure_running(settings.market_pipeline_data_dir).url()


def create_warehouse_engine(url: SecretStr) -> Engine:
    """An engine on `url` through psycopg 3, in UTC whatever the server's own time zone. Connects to nothing yet."""
    address = make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    return create_engine(
        address,
        connect_args={"connect_timeout": 10, "options": "-c timezone=UTC", "application_name": "market_pipeline"},
        pool_pre_ping=True,
        hide_parameters=True,
    )


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
    except OperationalError as error:
        raise unavailable(error, engine) from None
    if found == head_revision():
        return engine
    if found is not None and settings.database_url is not None:
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


def unavailable(error: DBAPIError, engine: Engine) -> DatabaseUnavailableError:
    """`error` in one line without a password: the server's own words, and where we looked."""
    where = f"{engine.url.host}:{engine.url.port or 5432}/{engine.url.database}"
    return DatabaseUnavailableError(
        f"the database at {where} can't be used: {first_line(error)}. "
        "Check that it runs and that DATABASE_URL is right."
    )


def first_line(error: DBAPIError) -> str:
    """What PostgreSQL said, in one line."""
    said = str(error.orig).strip().splitlines() if error.orig else []
    return said[0].strip() if said else type(error).__name__


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "market_pipeline.warehouse:migrations")
    return config


def head_revision() -> str:
    """The revision of the schema that this version of the package works with."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    if head is None:
        raise SchemaError("this installation holds no migrations: install market-pipeline again")
    return head


def current_revision(connection: Connection) -> str | None:
    """The revision a database is at; None where it has no schema of ours."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(engine: Engine) -> str:
    """Bring the schema to this version's and return its revision. Safe with several processes at once.

    Views and functions are made anew each time. All of it is one transaction: a migration that fails leaves the
    database as it was.
    """
    config = _alembic()
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        for view in views():
            connection.exec_driver_sql(view)
        record_sessions(connection, datetime.now(UTC).date())
    return head_revision()


def describe(url: SecretStr) -> str:
    """A database's address for people: host, port and name, with neither user nor password."""
    parts = urlsplit(url.get_secret_value())
    port = 5432
    with suppress(ValueError):
        port = parts.port or port
    return f"{parts.hostname}:{port}{parts.path}"
