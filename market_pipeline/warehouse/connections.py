"""Connections to PostgreSQL: which servers are used at all, and the settings that each connection is given.

Everything that behaviour or safety rests on is set by SQL, in one round trip a connection. The server, the database and
the role may have settings of their own, which are for others, and options given at connecting are dropped or rejected
by poolers. With every driver alike: psycopg, its asynchronous half, and psycopg2 for Dagster's own database.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event, text

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.warehouse.database_errors import UnsupportedDatabaseError
from market_pipeline.warehouse.poolers import check_pooler

OLDEST_SERVER = 15
"""The oldest PostgreSQL that is used: the oldest that its makers still fix, https://www.postgresql.org/support/versioning/.

NULLS NOT DISTINCT, which the tables need, came with it too."""

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

Not `default_transaction_read_only`: who sets that, after a failover or on a full disk, means it."""

SINCE_17 = {"transaction_timeout": "0"}

CONNECT_TIMEOUT = "10"
"""Seconds, where the address doesn't say."""


def session_statement(settings: Mapping[str, str], version: int, *, also: str = "''") -> str:
    """The statement that sets `settings` for a session, for a server of that `server_version_num`.

    Its one row, read once they are set: the server process's id, `session_replication_role`, the current role, whether
    transactions are read-only from now on, and `also`.
    """
    known = {**settings, **(SINCE_17 if version >= 170_000 else {})}
    changes = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in known.items())
    return (  # nobody else's words are in it
        "SELECT pg_backend_pid(), current_setting('session_replication_role'), "  # noqa: S608
        f"current_user::text, current_setting('default_transaction_read_only'), {also} "
        f"FROM (SELECT {changes} OFFSET 0) AS changes"
    )


def parameters_of(address: DatabaseAddress, name: str | None = None) -> dict[str, str]:
    """Parameters for libpq: the address, and what poolers let through. `name` is the application's."""
    ours = {"client_encoding": ENCODING, **({"application_name": name} if name else {})}
    return {"connect_timeout": CONNECT_TIMEOUT, **address.parameters, **ours}


def check_server(address: DatabaseAddress, version: int, encoding: str | None) -> None:
    """Make sure that the server is new enough and the database holds any text. Costs nothing: both are known by then.

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
    """Make sure that what was set stays set, of the row of `session_statement`.

    Args:
        address: for the error, and to look closer at a pooler.
        connected_to: the server process as the driver knows it: a pooler hands out another number.
        row: what the statement returned.

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
    """A connection through psycopg with `SETTINGS` in force, in no transaction.

    Raises:
        UnsupportedDatabaseError: the server or the database can't be used.
        psycopg.Error: it can't be reached.
    """
    parameters: dict[str, Any] = parameters_of(address, "market_pipeline")
    connection = psycopg.connect(**parameters, autocommit=True, context=context)
    try:
        info = connection.info
        encoding = None if any_encoding else info.parameter_status("server_encoding")
        check_server(address, info.server_version, encoding)
        row = connection.execute(session_statement(SETTINGS, info.server_version).encode()).fetchone()
        assert row is not None  # noqa: S101 - it returns one
        check_session(address, info.backend_pid, row)
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def connect_with_psycopg2(address: DatabaseAddress) -> Any:
    """The same through psycopg2, the one driver that dagster-postgres works with.

    Raises:
        UnsupportedDatabaseError: the server or the database can't be used.
        psycopg2.Error: it can't be reached.
    """
    import psycopg2  # needed where Dagster is

    connection = psycopg2.connect(**parameters_of(address, "market_pipeline_dagster"))
    try:
        info = connection.info
        check_server(address, info.server_version, info.parameter_status("server_encoding"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(session_statement(SETTINGS, info.server_version))
            check_session(address, info.backend_pid, cursor.fetchone())
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def address_in_use(connection: Connection) -> DatabaseAddress:
    """The address of the one server that an engine's connection has led to: host, port, user and password are there.

    An address may name several servers or none, and leave the user and the password to libpq.
    """
    address = DatabaseAddress.of_engine(connection.engine.url)
    session: Any = connection.connection.driver_connection
    info = session.info
    here = {"host": info.host, "port": str(info.port), "user": info.user, "password": info.password}
    several = "," in address.parameters.get("host", "")
    kept = {name: value for name, value in address.items if not (several and name == "hostaddr")}
    return DatabaseAddress.made_of({**kept, **{name: value for name, value in here.items() if value}})


def is_direct(connection: Connection) -> bool:
    """True if an engine's connection leads to PostgreSQL itself, and not to a pooler."""
    session: Any = connection.connection.driver_connection
    return bool(connection.scalar(text("SELECT pg_backend_pid()")) == session.info.backend_pid)


def connect_by(engine: Engine, *, any_encoding: bool = False) -> None:
    """Have an engine open its connections by the functions above, whichever its driver is."""
    address = DatabaseAddress.of_engine(engine.url)

    def opened(dialect: Any, _record: object, _arguments: object, parameters: dict[str, Any]) -> Any:
        if dialect.driver == "psycopg2":
            return connect_with_psycopg2(address)
        return connect(address, any_encoding=any_encoding, context=parameters.get("context"))

    event.listen(engine, "do_connect", opened)
