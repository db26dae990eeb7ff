"""Roles that only read: those that analysts and assistants connect as, and the one that the API works as.

They read the warehouse's tables and the marts, and nothing else. They hold no right to write; their settings only say
so sooner. Roles belong to the server and rights to a database, so another database on the same server needs a call of
its own.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.warehouse.database_errors import build_unavailable_error, read_first_line
from market_pipeline.warehouse.locks import AdvisoryLock, wait_for_lock

ANALYST = "market_analyst"
READER = "market_reader"
"""The role that the API's connections take. Nobody can connect as it."""

ASSISTANT = "market_assistant"
"""The role that assistants' own SQL runs as. Only `market-pipeline mcp` connects as it."""

SCHEMAS = ("public", "analytics")
"""Schemas that the roles may read. The models between the two are dbt's own."""

_MAY_WORK_AS = """
    SELECT pg_has_role(:role, CASE WHEN current_setting('server_version_num')::integer < 160000
                              THEN 'MEMBER' ELSE 'SET' END)
"""
"""Before PostgreSQL 16 every member of a role may work as it."""

SETTINGS = {
    "default_transaction_read_only": "on",
    "search_path": "public",  # which the documentation's queries rest on
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "10min",  # a sleeping reader keeps tables from being rebuilt
}
"""Settings that the role is made with. Made once, so that an administrator's changes stay."""


class RoleError(MarketPipelineError):
    """The role can't be made, or may do more than read."""


@dataclass(frozen=True)
class AnalystAccess:
    """An address for analysts. Its password is known only when it is new: the server keeps a hash alone."""

    url: SecretStr
    has_password: bool


def grant_analyst_access(engine: Engine, *, new_password: bool = False) -> AnalystAccess:
    """Make the analysts' role if need be, grant it reading of present and future tables, and return its address.

    Raises:
        RoleError: it takes an administrator, and the message has the SQL; the tables are another's; or the role that
            is there may write.
        DatabaseUnavailableError: the database can't be reached.
    """
    with _transaction_to_grant(engine, ANALYST) as connection:
        password = _make_analyst_role(connection, new_password=new_password)
        _grant_reading(connection, ANALYST)
    address = DatabaseAddress.from_engine_url(engine.url).for_role(ANALYST, password)
    return AnalystAccess(address.url(), password is not None)


def make_reading_role(engine: Engine) -> str:
    """Make the role that the API works as if need be, and grant it reading of present and future tables.

    Returns:
        Its name, for `SET ROLE` by the user of `engine`.

    Raises:
        RoleError: it takes an administrator, and the message has the SQL; the tables are another's; or the role that
            is there may write.
        DatabaseUnavailableError: the database can't be reached.
    """
    with _transaction_to_grant(engine, READER) as connection:
        _take_reading_role(connection)
        if not _may_read_all(connection, READER):  # granting again would block a build of the marts
            _grant_reading(connection, READER)
    return READER


def has_role(connection: Connection, role: str) -> bool:
    """Return True if the server has a role of that name."""
    return connection.execute(text("SELECT FROM pg_roles WHERE rolname = :role"), {"role": role}).first() is not None


@contextmanager
def _transaction_to_grant(engine: Engine, role: str) -> Iterator[Connection]:
    """Open a transaction that grants a role reading. At its end, check that the role may not write."""
    try:
        with engine.begin() as connection:
            yield connection
            _check_read_only(connection, role)
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise build_unavailable_error(error, engine) from None
        raise RoleError(
            f"the database's user may not let {role} read: {read_first_line(error)}. Run this with a DATABASE_URL "
            "that names the user whom the tables belong to"
        ) from None


@contextmanager
def _savepoint_for_role(connection: Connection, command: str, statements: Sequence[str]) -> Iterator[None]:
    """Run the block in a savepoint; if it takes an administrator, the error has the statements to run instead."""
    try:
        with connection.begin_nested():
            yield
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise RoleError(
            f"the database's user may make no roles. Run {command} again once an administrator has run: "
            f"{'; '.join(statements)}"
        ) from None


def _take_reading_role(connection: Connection) -> None:
    """Make the reading role if it is missing, and make sure that we may work as it."""
    # Roles belong to the whole server: another process may be making it for another database.
    wait_for_lock(connection, AdvisoryLock.ROLES)
    there = has_role(connection, READER)
    if there and connection.execute(text(_MAY_WORK_AS), {"role": READER}).scalar_one():
        return
    user: str = connection.execute(text("SELECT quote_ident(current_user)")).scalar_one()
    create = [] if there else [f"CREATE ROLE {READER} NOLOGIN"]
    with _savepoint_for_role(connection, "this", [*create, f"GRANT {READER} TO {user}"]):
        for statement in (*create, f"GRANT {READER} TO CURRENT_USER"):
            connection.execute(text(statement))


def _may_read_all(connection: Connection, role: str) -> bool:
    """Return True if no right is missing: both schemas have tables, and the role may read all of them."""
    readable = text(
        "SELECT count(DISTINCT relnamespace) = :schemas AND bool_and(has_table_privilege(:role, oid, 'SELECT')) "
        "FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm') AND relnamespace::regnamespace::text = ANY(:names)"
    )
    known = {"role": role, "schemas": len(SCHEMAS), "names": list(SCHEMAS)}
    return bool(connection.execute(readable, known).scalar_one())


def _make_analyst_role(connection: Connection, *, new_password: bool) -> str | None:
    """Make the analysts' role if it is missing, and return its password if it is new."""
    there = has_role(connection, ANALYST)
    if there and not new_password:
        return None
    password = secrets.token_urlsafe(24)
    verb = "ALTER" if there else "CREATE"
    settings = [] if there else [f"ALTER ROLE {ANALYST} SET {name} = '{value}'" for name, value in SETTINGS.items()]
    statements = [f"{verb} ROLE {ANALYST} LOGIN PASSWORD '<a password>'", *settings]
    with _savepoint_for_role(connection, "`market-pipeline db analysts`", statements):
        _set_password(connection, f"{verb} ROLE {ANALYST} LOGIN PASSWORD {{}}", ANALYST, password)
        for setting in settings:
            connection.execute(text(setting))
    return password


def grant_reading_to_login(connection: Connection, role: LiteralString, password: str) -> None:
    """Let an existing role log in with a password and read present and future tables, as analysts do.

    Raises:
        RoleError: the role may write.
        sqlalchemy.exc.DBAPIError: it takes an administrator.
    """
    _set_password(connection, f"ALTER ROLE {role} LOGIN PASSWORD {{}}", role, password)
    if not _may_read_all(connection, role):  # granting again would block a build of the marts
        _grant_reading(connection, role)
    _check_read_only(connection, role)


def _set_password(connection: Connection, statement: LiteralString, role: str, password: str) -> None:
    """Run a statement with a hash of the password, so that not even a server that logs statements learns it."""
    driver: Any = connection.connection.driver_connection
    hashed = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    _run(connection, statement, sql.Literal(hashed))


def _run(connection: Connection, statement: LiteralString, *values: sql.Composable) -> None:
    connection.exec_driver_sql(sql.SQL(statement).format(*values).as_string())


def _grant_reading(connection: Connection, role: str) -> None:
    database = sql.Identifier(connection.execute(text("SELECT current_database()")).scalar_one())
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS analytics"))
    # Before PostgreSQL 15 everyone may make tables there.
    connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, sql.Identifier(role))
    for schema in SCHEMAS:
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {role}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"))
        connection.execute(text(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"))


def _check_read_only(connection: Connection, role: str) -> None:
    """Check that the role may not write: others may change it, and one of its name may have existed before."""
    writable = connection.execute(
        text(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') "
            "AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) "
            "AND has_table_privilege(:role, oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1 LIMIT 1"
        ),
        {"role": role},
    ).scalar()
    if writable is not None:
        raise RoleError(
            f"the role {role} may write, to {writable} for one, and no address of it is given out: take its rights "
            "away or drop it, then run the same command again"
        )
