"""Connections to PostgreSQL: the supported servers, and the settings that each connection gets.

Everything that behaviour or safety rests on is set by SQL, in one round trip per connection. The server, the database
and the role may have settings of their own, which are for others, and poolers drop or reject connection options. With
every driver alike: psycopg, its asynchronous half, and psycopg2 for Dagster's own database.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event, text

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.warehouse.database_errors import UnsupportedDatabaseError
from market_pipeline.warehouse.poolers import check_pooler

OLDEST_SERVER = 15
"""Oldest PostgreSQL that is supported: the oldest that its makers fix, https://www.postgresql.org/support/versioning/.

NULLS NOT DISTINCT, which the tables need, came with it too.
"""

SCHEMA = "public"
"""Schema of the project's tables, and of Dagster's in its own database."""

ENCODING = "UTF8"

SETTINGS = {
    "search_path": SCHEMA,
    "default_transaction_isolation": "read committed",  # the shared rate limit and the upserts count on it
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",  # below 1, a price is read as another one than was written
    "standard_conforming_strings": "on",
}
"""Settings of every connection, in PostgreSQL's own spelling.

Not `default_transaction_read_only`: it is set on purpose, after a failover or on a full disk.
"""

SINCE_17 = {"transaction_timeout": "0"}

CONNECT_TIMEOUT = "10"
"""Seconds, unless the address sets its own."""


def build_session_statement(settings: Mapping[str, str], version: int, *, also: str = "''") -> str:
    """Return the statement that sets `settings` for a session, for a server of that `server_version_num`.

    Its one row, read once they are set: the server process's id, `session_replication_role`, the current role, whether
    transactions are read-only from now on, and `also`.
    """
    known = {**settings, **(SINCE_17 if version >= 170_000 else {})}
    changes = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in known.items())
    return (  # of our own text alone
        "SELECT pg_backend_pid(), current_setting('session_replication_role'), "  # noqa: S608
        f"current_user::text, current_setting('default_transaction_read_only'), {also} "
        f"FROM (SELECT {changes} OFFSET 0) AS changes"
    )


def build_connection_parameters(address: DatabaseAddress, name: str | None = None) -> dict[str, str]:
    """Return libpq's parameters: the address, and options that poolers accept. `name` is the application's."""
    ours = {"client_encoding": ENCODING, **({"application_name": name} if name else {})}
    return {"connect_timeout": CONNECT_TIMEOUT, **address.parameters, **ours}


def check_server(address: DatabaseAddress, version: int, encoding: str | None) -> None:
    """Check that the server is new enough and the database holds any text. It costs nothing: both are known by then.

    Raises:
        UnsupportedDatabaseError: it isn't, or doesn't.
    """
    if version // 10_000 < OLDEST_SERVER:
        raise UnsupportedDatabaseError(
            f"the server of {address.where} is PostgreSQL {version // 10_000}, and {OLDEST_SERVER} is the oldest that "
            f"is used: upgrade it to PostgreSQL {OLDEST_SERVER} or newer, or name another in DATABASE_URL"
        )
    if encoding is not None and encoding != ENCODING:
        raise UnsupportedDatabaseError(
            f"the database at {address.where} has the encoding {encoding}, which doesn't hold every text: make "
            f"one by CREATE DATABASE <name> ENCODING '{ENCODING}' TEMPLATE template0, and name it in the address"
        )


def check_session(address: DatabaseAddress, connected_to: int, row: tuple[Any, ...]) -> None:
    """Check that the session's settings last, by the row of `build_session_statement`.

    Args:
        address: for the error, and for the check of a pooler.
        connected_to: the server process by the driver, to which a pooler gives another number.
        row: the statement's row.

    Raises:
        UnsupportedDatabaseError: a pooler shares sessions, or the role's settings turn constraints off.
    """
    process, replication_role, *_ = row
    if process != connected_to:
        check_pooler(address)
    if replication_role != "origin":
        raise UnsupportedDatabaseError(
            f"the role for {address.where} has session_replication_role = {replication_role}, which turns foreign keys "
            "off: have an administrator run ALTER ROLE <role> RESET session_replication_role"
        )


def connect(address: DatabaseAddress, *, any_encoding: bool = False, context: Any = None) -> psycopg.Connection[Any]:
    """Open a connection through psycopg with `SETTINGS` in force, outside any transaction.

    Raises:
        UnsupportedDatabaseError: the server or the database can't be used.
        psycopg.Error: it can't be reached.
    """
    parameters: dict[str, Any] = build_connection_parameters(address, "market_pipeline")
    connection = psycopg.connect(**parameters, autocommit=True, context=context)
    try:
        info = connection.info
        encoding = None if any_encoding else info.parameter_status("server_encoding")
        check_server(address, info.server_version, encoding)
        row = connection.execute(build_session_statement(SETTINGS, info.server_version).encode()).fetchone()
        assert row is not None  # noqa: S101 - it returns one
        check_session(address, info.backend_pid, row)
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def connect_with_psycopg2(address: DatabaseAddress) -> Any:
    """Open the same connection through psycopg2, the one driver that dagster-postgres works with.

    Raises:
        UnsupportedDatabaseError: the server or the database can't be used.
        psycopg2.Error: it can't be reached.
    """
    import psycopg2  # installed with Dagster

    connection = psycopg2.connect(**build_connection_parameters(address, "market_pipeline_dagster"))
    try:
        info = connection.info
        check_server(address, info.server_version, info.parameter_status("server_encoding"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(build_session_statement(SETTINGS, info.server_version))
            check_session(address, info.backend_pid, cursor.fetchone())
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def find_address_in_use(connection: Connection) -> DatabaseAddress:
    """Return the address of the server that an engine's connection has led to, with host, port, user and password.

    An address may name several servers or none, and leave the user and the password to libpq.
    """
    address = DatabaseAddress.from_engine_url(connection.engine.url)
    session: Any = connection.connection.driver_connection
    info = session.info
    here = {"host": info.host, "port": str(info.port), "user": info.user, "password": info.password}
    several = "," in address.parameters.get("host", "")
    kept = {name: value for name, value in address.items if not (several and name == "hostaddr")}
    return DatabaseAddress.from_parameters({**kept, **{name: value for name, value in here.items() if value}})


def is_direct(connection: Connection) -> bool:
    """Return True if an engine's connection leads to PostgreSQL itself, and not to a pooler."""
    session: Any = connection.connection.driver_connection
    return bool(connection.scalar(text("SELECT pg_backend_pid()")) == session.info.backend_pid)


def install_connector(engine: Engine, *, any_encoding: bool = False) -> None:
    """Open an engine's connections by the functions above, with either driver."""
    address = DatabaseAddress.from_engine_url(engine.url)

    def open_connection(dialect: Any, _record: object, _arguments: object, parameters: dict[str, Any]) -> Any:
        if dialect.driver == "psycopg2":
            return connect_with_psycopg2(address)
        return connect(address, any_encoding=any_encoding, context=parameters.get("context"))

    event.listen(engine, "do_connect", open_connection)
