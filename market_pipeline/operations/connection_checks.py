"""The doctor's checks of the connections themselves: the server's version, a pooler, and what the API connects as."""

from collections.abc import Callable, Sequence

import psycopg
from sqlalchemy import Engine, text

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.operations.findings import Finding, error, ok
from market_pipeline.warehouse.connections import OLDEST_SERVER, is_direct
from market_pipeline.warehouse.read_only_connections import reading_connection
from market_pipeline.warehouse.roles import READER

PATIENCE = 15.0
"""Seconds for a statement, as the API has them."""


def server_version(check: str, warehouse: Engine) -> Finding:
    """Report PostgreSQL's version and encoding. One that can't be used is rejected at connecting."""
    query = "SELECT current_setting('server_version_num') || ' ' || current_setting('server_encoding')"
    with warehouse.connect() as connection:
        version, encoding = str(connection.scalar(text(query))).split()
    number = f"{int(version) // 10_000}.{int(version) % 10_000}"
    return ok(check, f"PostgreSQL {number}, {encoding}; {OLDEST_SERVER} or newer is used")


def pooler(check: str, warehouse: Engine) -> Finding:
    """Report a pooler in front of PostgreSQL. One that shares sessions is rejected at connecting."""
    with warehouse.connect() as connection:
        if is_direct(connection):
            return ok(check, "none: connections lead to PostgreSQL itself")
    return ok(check, "there is one, and it keeps a session of PostgreSQL's for each connection")


def reading(check: str, warehouse: Engine) -> Finding:
    """Connect as the API does, read, and try to write, which must fail."""
    # The role is the server's, and what it may read each database's.
    may_read = (
        "SELECT has_table_privilege(oid, to_regclass('market_data'), 'SELECT') FROM pg_roles WHERE rolname = :role"
    )
    with warehouse.connect() as connection:
        if not connection.scalar(text(may_read), {"role": READER}):
            return ok(check, f"the role {READER} gets its rights when the API first starts")
    address = DatabaseAddress.of_engine(warehouse.url)
    try:
        with reading_connection(address, READER, PATIENCE) as session:
            session.execute("SELECT FROM market_data LIMIT 1")
            may_write = session.execute(
                "SELECT has_table_privilege('market_data', 'INSERT, UPDATE, DELETE')"
            ).fetchone()
    except psycopg.Error as problem:
        return error(check, str(problem).partition("\n")[0], "start the API once, which makes the role and its rights")
    if may_write == (True,):
        return error(check, f"the role {READER} may write to market_data", "take its rights away: it is to read only")
    return ok(check, f"as {READER}, for reading only, with its time limits")


CONNECTION_CHECKS: Sequence[tuple[str, Callable[[str, Engine], Finding]]] = (
    ("PostgreSQL", server_version),
    ("pooler", pooler),
    ("API's sessions", reading),
)
