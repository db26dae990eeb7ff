"""Connections of DATABASE_URL's user that only read: they take the reading role for the whole session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.warehouse.connections import SETTINGS, build_session_statement, check_session, connect
from market_pipeline.warehouse.database_errors import UnsupportedDatabaseError


def build_reading_settings(role: str, seconds: float) -> dict[str, str]:
    """Return the settings of a session of `role`, with a time limit on its statements."""
    return SETTINGS | {
        "role": role,
        "default_transaction_read_only": "on",
        "default_transaction_isolation": "repeatable read",
        "statement_timeout": f"{round(seconds * 1000)}",
        "idle_in_transaction_session_timeout": "60s",
        "jit": "off",  # compiling takes longer than a query here
    }


def check_reading_session(address: DatabaseAddress, connected_to: int, row: tuple[Any, ...], role: str) -> None:
    """Check that a session only reads, by the row of `build_session_statement`; the rest as `check_session`.

    Raises:
        UnsupportedDatabaseError: it isn't.
    """
    check_session(address, connected_to, row)
    if row[2:4] != (role, "on"):
        raise UnsupportedDatabaseError(
            f"the database at {address.where} lets no session become {role}, to only read: name the PostgreSQL server "
            "itself in DATABASE_URL, without a pooler before it"
        )


@contextmanager
def reading_connection(address: DatabaseAddress, role: str, seconds: float) -> Iterator[psycopg.Connection[Any]]:
    """Open one such connection, checked as those of the API's pools are.

    Raises:
        UnsupportedDatabaseError: the server, the database or a pooler before it can't be used.
        psycopg.Error: it can't be reached, or the role isn't ours to take.
    """
    with connect(address) as connection:
        connection.autocommit = True
        statement = build_session_statement(build_reading_settings(role, seconds), connection.info.server_version)
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None  # noqa: S101 - it returns one
        check_reading_session(address, connection.info.backend_pid, row, role)
        yield connection
