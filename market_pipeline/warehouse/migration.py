"""Bringing a database's schema to this version's, by alembic. What the migrations are, the folder `migrations` says."""

from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from psycopg.errors import DuplicateTable
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from market_pipeline.warehouse.database_errors import SchemaError, first_line, unavailable
from market_pipeline.warehouse.schema import check_known, current_revision, head_revision
from market_pipeline.warehouse.session_calendar import record_sessions
from market_pipeline.warehouse.statements import views

_MIGRATION_LOCK = 7_310_531  # any constant: one migration of a database at a time


def alembic_config() -> Config:
    """Where alembic finds our migrations."""
    config = Config()
    config.set_main_option("script_location", "market_pipeline.warehouse:migrations")
    return config


def migrate(engine: Engine) -> str:
    """Bring the schema to this version's and return its revision. Safe with several processes at once.

    Views and functions are made anew each time. All of it is one transaction: a migration that fails leaves the
    database as it was.

    Raises:
        DatabaseUnavailableError: it can't be reached, or the role may not make tables in it.
        SchemaError: it holds another application's tables, or a schema that this version doesn't know.
    """
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            found = current_revision(connection)
            if found is not None:
                check_known(found)
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            for view in views():
                connection.exec_driver_sql(view)
            record_sessions(connection, datetime.now(UTC).date())
    except (OperationalError, ProgrammingError) as error:
        if isinstance(error.orig, DuplicateTable):
            raise SchemaError(
                f"the database holds tables of another application ({first_line(error)}): use another database "
                "(DATABASE_URL)"
            ) from None
        raise unavailable(error, engine) from None
    return head_revision()
