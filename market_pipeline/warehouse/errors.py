"""What can be wrong with a database, in one line each and without a password."""

from contextlib import suppress
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.errors import MarketPipelineError

_DISK_FULL = "53100"
"""PostgreSQL's code: https://www.postgresql.org/docs/current/errcodes-appendix.html."""


class DatabaseUnavailableError(MarketPipelineError):
    """The database can't be reached, or refuses us."""


class SchemaError(MarketPipelineError):
    """The database's schema is not the one this version works with."""


def unavailable(error: DBAPIError, engine: Engine) -> DatabaseUnavailableError:
    """`error` in one line without a password: the server's own words, and where we looked."""
    where = f"{engine.url.host}:{engine.url.port or 5432}/{engine.url.database}"
    mended_by = (
        "Make room on its disk." if disk_is_full(error) else "Check that it runs and that DATABASE_URL is right."
    )
    return DatabaseUnavailableError(f"the database at {where} can't be used: {first_line(error)}. {mended_by}")


def disk_is_full(error: DBAPIError) -> bool:
    """Whether PostgreSQL has no room left for what it should store."""
    # psycopg's name of the code, which the warehouse is asked by, and psycopg2's, which Dagster asks its database by.
    return _DISK_FULL in (getattr(error.orig, "sqlstate", None), getattr(error.orig, "pgcode", None))


def first_line(error: DBAPIError) -> str:
    """What PostgreSQL said, in one line."""
    said = str(error.orig).strip().splitlines() if error.orig else []
    return said[0].strip() if said else type(error).__name__


def describe(url: SecretStr) -> str:
    """A database's address for people: host, port and name, with neither user nor password."""
    parts = urlsplit(url.get_secret_value())
    port = 5432
    with suppress(ValueError):
        port = parts.port or port
    return f"{parts.hostname}:{port}{parts.path}"
