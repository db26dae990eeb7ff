"""Errors of databases, each as one line without a password, with the next step."""

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.errors import MarketPipelineError

CONNECTIONS_OF_A_RUN = 9
"""Connections that a run takes of the warehouse's database and Dagster's together, as a test measures.

Five to load (three loads, a request's slot, a load record), one each for Dagster's runs and schedules, two for events.
"""

_READ_ONLY = (
    "It is a standby, or an administrator has set default_transaction_read_only: set DATABASE_URL to the primary, or "
    "have that setting removed from the role and the database."
)
_NO_CONNECTION_LEFT = (
    "Close other programs' connections, or have max_connections, or the CONNECTION LIMIT of the role or the database, "
    f"raised: a run takes some {CONNECTIONS_OF_A_RUN}."
)
_PASSES = "It starts, stops or is being restarted: run the command again in a minute."
_TIMED_OUT = "An administrator canceled it, or a timeout is set on the role or the database: have that raised."
_NOT_OURS = (
    "The tables are not this version's: see `market-pipeline doctor`, or set DATABASE_URL to a database of its own."
)
_RIGHTS = "Have an administrator grant the role that right: `market-pipeline doctor` lists those that are missing."
_CREDENTIALS = "Check the user and the password in DATABASE_URL."
_NO_DATABASE = "Have it made (CREATE DATABASE), or name another in DATABASE_URL."

_REMEDIES = {
    "25006": _READ_ONLY,
    "28000": _CREDENTIALS,
    "28P01": _CREDENTIALS,
    "3D000": _NO_DATABASE,
    "3F000": _NOT_OURS,
    "42501": _RIGHTS,
    "42703": _NOT_OURS,
    "42704": _NOT_OURS,
    "42804": _NOT_OURS,
    "42883": _NOT_OURS,
    "42P01": _NOT_OURS,
    "42P10": _NOT_OURS,
    "40001": "Others changed the same rows: run the command again.",
    "40P01": "Others changed the same rows: run the command again.",
    "25P03": _TIMED_OUT,
    "25P04": _TIMED_OUT,
    "55P03": _TIMED_OUT,
    "57014": _TIMED_OUT,
    "57P05": _TIMED_OUT,
    "53000": "Have its administrator see its log.",
    "53100": "Make room on its disk.",
    "53200": "Its server has no memory left: have its administrator see its log.",
    "53300": _NO_CONNECTION_LEFT,
    "57P01": _PASSES,
    "57P02": _PASSES,
    "57P03": _PASSES,
}
"""Next steps by PostgreSQL's code: https://www.postgresql.org/docs/current/errcodes-appendix.html."""

_REMEDIES_BY_WORDS = {
    "too many": _NO_CONNECTION_LEFT,
    "connection slots": _NO_CONNECTION_LEFT,
    "authentication failed": _CREDENTIALS,
    "no password supplied": _CREDENTIALS,
    "does not exist": _NO_DATABASE,
    "permission denied": _RIGHTS,
    "is not permitted to log in": _RIGHTS,
    "database system is": _PASSES,  # starting up, shutting down, in recovery mode, not accepting connections
    "terminating connection": _PASSES,
    "server closed the connection": _PASSES,
}
"""Next steps by words of the message, for failed connections, of which libpq keeps no code."""


class DatabaseUnavailableError(MarketPipelineError):
    """The database can't be reached, or rejects us."""


class UnsupportedDatabaseError(DatabaseUnavailableError):
    """The database can be reached, but can't keep data safely."""


class SchemaError(MarketPipelineError):
    """The database's schema is not the one that this version works with."""


def build_unavailable_error(error: DBAPIError, engine: Engine) -> DatabaseUnavailableError:
    """Return `error` as one line without a password: the server's message, the address and the next step."""
    where = DatabaseAddress.from_engine_url(engine.url).where
    return DatabaseUnavailableError(
        f"the database at {where} can't be used: {read_first_line(error)}. {suggest_fix(error)}"
    )


def describe_database_problem(error: BaseException) -> str | None:
    """Return an error of PostgreSQL's, from any driver, as one line; None for any other error."""
    if isinstance(error, DBAPIError) or hasattr(error, "sqlstate") or hasattr(error, "pgcode"):
        return f"the database can't be used: {read_first_line(error)}. {suggest_fix(error)}"
    if isinstance(error, PoolTimeoutError):
        return f"the database can't be used: no connection became free in time. {_NO_CONNECTION_LEFT}"
    return None


def suggest_fix(error: BaseException) -> str:
    """Return the next step after an error of PostgreSQL's."""
    message = read_first_line(error)
    by_words = (step for words, step in _REMEDIES_BY_WORDS.items() if words in message)
    return _REMEDIES.get(_read_code(error) or "") or next(
        by_words, "Check that it runs and that DATABASE_URL is right."
    )


def read_first_line(error: BaseException) -> str:
    """Return the first line of PostgreSQL's message."""
    lines = str(_find_driver_error(error) or "").strip().splitlines()
    return (
        lines[0].strip().removeprefix("connection failed: ") if lines else type(error).__name__
    )  # psycopg's own words


def _read_code(error: BaseException) -> str | None:
    """Return PostgreSQL's code. psycopg, for the warehouse, names it otherwise than Dagster's psycopg2."""
    driver = _find_driver_error(error)
    return getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)


def _find_driver_error(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error
