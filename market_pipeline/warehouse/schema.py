"""The warehouse's schema: which revision a database is at, and which ones this version of the package knows.

Bringing a database from one to another is migrating.py's business. Told without alembic, whose import takes longer than
most commands ask the database for.
"""

from functools import cache
from importlib.resources import files

from sqlalchemy import Connection, text

from market_pipeline.warehouse.database_errors import SchemaError


@cache
def revisions() -> list[str]:
    """The revisions that the migrations make, oldest first. Each migration's file begins with the one it makes."""
    versions = files("market_pipeline.warehouse") / "migrations" / "versions"
    return sorted(file.name.partition("_")[0] for file in versions.iterdir() if file.name[0].isdigit())


def head_revision() -> str:
    """The revision of the schema that this version of the package works with."""
    if not revisions():
        raise SchemaError("this installation holds no migrations: install market-pipeline again")
    return revisions()[-1]


def current_revision(connection: Connection) -> str | None:
    """The revision a database is at; None where it has no schema of ours."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def check_known(revision: str) -> None:
    """Make sure that a migration of this version makes that revision.

    Raises:
        SchemaError: none does.
    """
    if revision not in revisions():
        raise SchemaError(
            f"the database's schema is revision {revision}, which this version doesn't know: install the version that "
            "made it, or use another database (DATABASE_URL)"
        )
