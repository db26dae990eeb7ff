"""Check of poolers before PostgreSQL, such as PgBouncer: each client needs a server session of its own.

With pool_mode transaction or statement, a pooler hands a session's settings, its role, limits and prepared statements,
to the next client, so that nothing can rest on them.
"""

from functools import cache

import psycopg

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.warehouse.database_errors import UnsupportedDatabaseError

ROUNDS = 3
"""Number of tries: another user of the pooler may take the session that we would have met."""

_PROTOCOL_VIOLATION = "08P01"
"""PgBouncer's response to a transaction in statement mode."""


@cache  # of a good result: what raises is looked at again
def check_pooler(address: DatabaseAddress) -> None:
    """Check that the pooler at an address gives each client a session of its own.

    Raises:
        UnsupportedDatabaseError: it doesn't.
        psycopg.Error: it can't be reached.
    """
    if _shares_sessions(address):
        raise UnsupportedDatabaseError(
            f"the pooler at {address.where} shares a server's sessions among its clients (pool_mode transaction or "
            "statement), so that roles and time limits get lost: use PostgreSQL's own address in DATABASE_URL and "
            "DAGSTER_DATABASE_URL, or set pool_mode=session for both databases"
        )


def _shares_sessions(address: DatabaseAddress) -> bool:
    with _connect(address) as one, _connect(address) as other:
        for _ in range(ROUNDS):
            before = _read_server_process(one)
            try:
                with other.transaction():
                    if _read_server_process(other) == before or _read_server_process(one) != before:
                        return True
            except psycopg.OperationalError as error:
                if error.sqlstate != _PROTOCOL_VIOLATION:
                    raise
                return True
    return False


def _connect(address: DatabaseAddress) -> "psycopg.Connection[tuple[int]]":
    parameters = {"connect_timeout": "10", **address.parameters}
    return psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]


def _read_server_process(connection: "psycopg.Connection[tuple[int]]") -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None  # noqa: S101 - it returns one
    return row[0]
