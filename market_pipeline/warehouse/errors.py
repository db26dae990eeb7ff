"""What can be wrong with a database, in one line each and without a password."""

from contextlib import suppress
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.errors import MarketPipelineError


class DatabaseUnavailableError(MarketPipelineError):
    """The database can't be reached, or refuses us."""


class SchemaError(MarketPipelineError):
    """The database's schema is not the one this version works with."""


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


def describe(url: SecretStr) -> str:
    """A database's address for people: host, port and name, with neither user nor password."""
    parts = urlsplit(url.get_secret_value())
    port = 5432
    with suppress(ValueError):
        port = parts.port or port
    return f"{parts.hostname}:{port}{parts.path}"
