"""The warehouse's schema: its revision in a database, the known revisions, and the migrations between them.

alembic is imported only where something is migrated: its import takes longer than most commands use the database.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.errors import DuplicateTable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.schema import SetColumnComment, SetTableComment

from market_pipeline.warehouse.adjustment import refresh_stale_factors
from market_pipeline.warehouse.api_keys import access_metadata
from market_pipeline.warehouse.bar_tables import readable
from market_pipeline.warehouse.database_errors import SchemaError, build_unavailable_error, read_first_line
from market_pipeline.warehouse.locks import AdvisoryLock, wait_for_lock
from market_pipeline.warehouse.migrations.bar_conversion import convert_ahead
from market_pipeline.warehouse.session_calendar import record_sessions
from market_pipeline.warehouse.statements import read_views
from market_pipeline.warehouse.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

BEFORE_CONVERSION = "0008"
"""The revision at which bars are converted ahead of the next."""


@cache
def list_revisions() -> list[str]:
    """Return the revisions that the migrations make, oldest first: each one's file name begins with its revision."""
    versions = files("market_pipeline.warehouse") / "migrations" / "versions"
    return sorted(file.name.partition("_")[0] for file in versions.iterdir() if file.name[0].isdigit())


def find_head_revision() -> str:
    """Return the revision that this version of the package works with.

    Raises:
        SchemaError: the installation holds no migrations.
    """
    if not list_revisions():
        raise SchemaError("this installation holds no migrations: install market-pipeline again")
    return list_revisions()[-1]


def read_revision(connection: Connection) -> str | None:
    """Return the revision that a database is at; None where it has no schema of ours."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def check_known(revision: str) -> None:
    """Check that a migration of this version makes that revision.

    Raises:
        SchemaError: none does.
    """
    if revision not in list_revisions():
        raise SchemaError(
            f"the database's schema is revision {revision}, which this version doesn't know: install the version that "
            "made it, or use another database (DATABASE_URL)"
        )


def build_alembic_config() -> "Config":
    """Return alembic's configuration, which points to our migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "market_pipeline.warehouse:migrations")
    return config


def migrate(engine: Engine, report: Callable[[str], None] = lambda _message: None) -> str:
    """Bring the schema to this version's and return its revision. Safe with several processes at once.

    Views, functions and comments are written anew each time, and missing adjustment factors are filled in. All of it is
    one transaction: a migration that fails leaves the database as it was. Only the conversion of bars that revision
    0009 needs is done ahead, in parts, and goes on where it was interrupted; `report` is called with its progress.

    Raises:
        DatabaseUnavailableError: it can't be reached, or the role may not make tables in it.
        SchemaError: it holds another application's tables, or a schema that this version doesn't know.
    """
    try:
        with engine.begin() as connection:
            wait_for_lock(connection, AdvisoryLock.MIGRATION)
            revision = read_revision(connection)
            if revision is not None:
                check_known(revision)
            is_to_convert = revision is not None and revision <= BEFORE_CONVERSION
            if is_to_convert:
                run_migrations(connection, BEFORE_CONVERSION)
        if is_to_convert:
            convert_ahead(engine, report)
        with engine.begin() as connection:
            wait_for_lock(connection, AdvisoryLock.MIGRATION)
            _migrate(connection)
    except (OperationalError, ProgrammingError) as error:
        if isinstance(error.orig, DuplicateTable):
            raise SchemaError(
                f"the database holds tables of another application ({read_first_line(error)}): use another database "
                "(DATABASE_URL)"
            ) from None
        raise build_unavailable_error(error, engine) from None
    return find_head_revision()


def run_migrations(connection: Connection, until: str) -> None:
    """Run the migrations up to a revision, in the connection's transaction."""
    from alembic import command

    config = build_alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, until)


def _migrate(connection: Connection) -> None:
    run_migrations(connection, "head")
    for view in read_views():
        connection.exec_driver_sql(view.replace("%", "%%"))
    _write_comments(connection)
    record_sessions(connection, datetime.now(UTC).date())
    refresh_stale_factors(connection)


def _write_comments(connection: Connection) -> None:
    """Write the declared comments of all tables and columns, so that a change of words needs no migration."""
    for table in (*metadata.tables.values(), *access_metadata.tables.values()):
        connection.execute(SetTableComment(table))
    for view in readable.tables.values():
        comment = sql.SQL("COMMENT ON VIEW {} IS {}").format(sql.Identifier(view.name), sql.Literal(view.comment))
        connection.exec_driver_sql(comment.as_string().replace("%", "%%"))
    for relation in (*metadata.tables.values(), *access_metadata.tables.values(), *readable.tables.values()):
        for column in relation.columns:
            connection.execute(SetColumnComment(column))


@dataclass(frozen=True)
class MigrationPlan:
    """The migrations that a database lacks, in the order they would run, and their SQL.

    `current` is None for a database without tables of ours. `statements` leave out views, functions and
    comments, which every migration makes anew.
    """

    current: str | None
    needed: str
    revisions: Sequence[str]
    statements: str


def plan_migration(engine: Engine) -> MigrationPlan:
    """Return what `migrate` would run on a database, without running or changing anything.

    Raises:
        DatabaseUnavailableError: it can't be reached.
        SchemaError: it holds a schema that this version doesn't know.
    """
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    try:
        with engine.connect() as connection:
            current = read_revision(connection)
    except (OperationalError, ProgrammingError) as error:
        raise build_unavailable_error(error, engine) from None
    if current is not None:
        check_known(current)
    scripts = ScriptDirectory.from_config(build_alembic_config())
    ahead = list(scripts.iterate_revisions(find_head_revision(), current or "base"))[::-1]
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    with Operations.context(context):
        for script in ahead:
            script.module.upgrade()
    described = [f"{script.revision}: {script.doc}" for script in ahead]
    return MigrationPlan(current, find_head_revision(), described, written.getvalue())
