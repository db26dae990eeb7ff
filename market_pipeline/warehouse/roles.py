"""The role that analysts connect as: it reads the warehouse's tables and the analysts' tables, and nothing else.

What keeps it from writing is that it holds no right to; its settings only say so sooner. Roles belong to the server
and rights to a database, so another database on the same server needs a call of its own.
"""

import secrets
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.errors import MarketPipelineError
from market_pipeline.warehouse.errors import first_line, unavailable

ANALYST = "market_analyst"

SCHEMAS = ("public", "analytics")
"""What the role may read. The models between the two are dbt's business."""

SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "10min",  # a reader that sleeps keeps tables from being built anew
}
"""What the role is made with. Made once, so that what an administrator changes stays."""

CREDENTIALS = ("user", "password", "passfile", "service", "sslcert", "sslkey", "sslpassword")
"""What an address may say, in its query, of who we are."""


class RoleError(MarketPipelineError):
    """The role can't be made, or isn't one that may only read."""


@dataclass(frozen=True)
class Access:
    """An address for analysts. Its password is known only when it is new: the server keeps no more than a hash."""

    url: SecretStr
    has_password: bool


def analysts_access(engine: Engine, *, new_password: bool = False) -> Access:
    """Make the role if need be, let it read what is there and what will be, and tell its address.

    Raises:
        RoleError: it takes an administrator, and the message has the SQL; the tables are another's; or the role that
            is there may write.
        DatabaseUnavailableError: the database can't be reached.
    """
    try:
        with engine.begin() as connection:
            password = _role(connection, new_password=new_password)
            _grant(connection)
            _check_that_it_only_reads(connection)
    except DBAPIError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise RoleError(
                f"the database's user may not let {ANALYST} read: {first_line(error)}. Run this with a DATABASE_URL "
                "that names the user whom the tables belong to"
            ) from None
        raise unavailable(error, engine) from None
    return Access(_address(engine.url, password), password is not None)


def _address(ours: URL, password: str | None) -> SecretStr:
    """Our address with the role in place of us: nothing of it that lets us in may be left, not even in its query."""
    query = {name: value for name, value in ours.query.items() if name not in CREDENTIALS}
    address = URL.create("postgresql", ANALYST, password, ours.host, ours.port, ours.database, query)
    return SecretStr(address.render_as_string(hide_password=False))


def _role(connection: Connection, *, new_password: bool) -> str | None:
    """Make sure that there is the role, and return its password where it is new."""
    known = {"role": ANALYST}
    there = connection.execute(text("SELECT FROM pg_roles WHERE rolname = :role"), known).first() is not None
    if there and not new_password:
        return None
    password = secrets.token_urlsafe(24)
    verb = "ALTER" if there else "CREATE"
    settings = [] if there else [f"ALTER ROLE {ANALYST} SET {name} = '{value}'" for name, value in SETTINGS.items()]
    try:
        with connection.begin_nested():
            _set_password(connection, f"{verb} ROLE {ANALYST} LOGIN PASSWORD {{}}", password)
            for setting in settings:
                connection.execute(text(setting))
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        by_hand = "; ".join([f"{verb} ROLE {ANALYST} LOGIN PASSWORD '<a password>'", *settings])
        raise RoleError(
            "the database's user may make no roles. Run `market-pipeline db analysts` again once an administrator has "
            f"run: {by_hand}"
        ) from None
    return password


def _set_password(connection: Connection, statement: LiteralString, password: str) -> None:
    """Run a statement with a hash of the password, so that not even a server that logs statements learns it."""
    driver: Any = connection.connection.driver_connection
    hashed = driver.pgconn.encrypt_password(password.encode(), ANALYST.encode(), b"scram-sha-256").decode()
    _run(connection, statement, sql.Literal(hashed))


def _run(connection: Connection, statement: LiteralString, value: sql.Composable) -> None:
    connection.exec_driver_sql(sql.SQL(statement).format(value).as_string())


def _grant(connection: Connection) -> None:
    database = sql.Identifier(connection.execute(text("SELECT current_database()")).scalar_one())
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS analytics"))
    # Before PostgreSQL 15 everyone may make tables there.
    connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    _run(connection, f"GRANT CONNECT ON DATABASE {{}} TO {ANALYST}", database)
    for schema in SCHEMAS:
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {ANALYST}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {ANALYST}"))
        connection.execute(text(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {ANALYST}"))


def _check_that_it_only_reads(connection: Connection) -> None:
    """Roles are somebody else's to change too, and a role of this name may have been there before."""
    writable = connection.execute(
        text(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') "
            "AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) "
            "AND has_table_privilege(:role, oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1 LIMIT 1"
        ),
        {"role": ANALYST},
    ).scalar()
    if writable is not None:
        raise RoleError(
            f"the role {ANALYST} may write, to {writable} for one, and no address of it is given out: take its rights "
            "away or drop it, then run `market-pipeline db analysts` again"
        )
