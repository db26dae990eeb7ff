"""The role that assistants' own SQL runs as. It reads what analysts read, and is logged in as, never switched to.

A session that DATABASE_URL's user has opened can always take its rights back, by `SET ROLE` or, inside a query, by
`set_config('role', ...)`. So each of these connections logs in as a role that has nothing to take back. It isn't a
member of the analysts' role either: a member may end that role's sessions.
"""

import secrets
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.connections import build_connection_parameters
from market_pipeline.warehouse.database import find_database_url
from market_pipeline.warehouse.database_errors import build_unavailable_error, read_first_line
from market_pipeline.warehouse.locks import AdvisoryLock, wait_for_lock
from market_pipeline.warehouse.roles import ASSISTANT, RoleError, grant_reading_to_login, has_role, make_reading_role

INSTEAD = "or set DATABASE_URL to the analysts' address, which `market-pipeline db analysts` prints"

_ONLY_READS = """
    SELECT current_user::text, NOT EXISTS (
        SELECT FROM pg_roles AS role
        WHERE pg_has_role(current_user, role.oid, 'MEMBER')
            AND (
                role.rolsuper OR role.rolcreaterole OR role.rolcreatedb OR role.rolreplication
                OR role.rolname IN (
                    'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_signal_backend',
                    'pg_write_all_data'
                )
                OR EXISTS (
                    SELECT FROM pg_class AS relation
                    WHERE relation.relkind IN ('r', 'p', 'v', 'm', 'f')
                        AND relation.relnamespace NOT IN (
                            'pg_catalog'::regnamespace, 'information_schema'::regnamespace
                        )
                        AND has_table_privilege(role.oid, relation.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                )
            )
    )
"""


def find_reading_user(engine: Engine) -> str | None:
    """Return the name of DATABASE_URL's user if it may only read; None if it may do more."""
    with engine.connect() as connection:
        name, only_reads = connection.execute(text(_ONLY_READS)).one()
    return str(name) if only_reads else None


def find_reading_role(engine: Engine) -> str:
    """Return the role that reads for others: DATABASE_URL's user if it may only read, else the API's reading role.

    Raises:
        RoleError: the API's role can't be made.
        DatabaseUnavailableError: the database can't be reached.
    """
    return find_reading_user(engine) or make_reading_role(engine)


class AssistantLogin:
    """Opens connections as the assistants' role, or as DATABASE_URL's user if that may only read.

    The role's password is random, belongs to this process and is kept nowhere. Another process replaces it, and then
    the next connection sets one again.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._own = DatabaseAddress.parse(find_database_url(settings))
        self._only_reads: bool | None = None
        self._password: str | None = None

    def open(self, application: str) -> psycopg.Connection:
        """Open a connection that only reads, outside any transaction.

        Raises:
            RoleError: the role can't be made or can't log in; the message has the next step.
            DatabaseUnavailableError: the database can't be reached.
        """
        try:
            if self._only_reads is None:
                self._only_reads = find_reading_user(self._engine) is not None
            if self._only_reads:
                return _connect(self._own, application)
            return self._log_in(application)
        except DBAPIError as error:
            raise build_unavailable_error(error, self._engine) from None
        except psycopg.OperationalError as error:
            raise RoleError(
                f"the role {ASSISTANT} can't log in ({read_first_line(error)}): let it, {INSTEAD}"
            ) from None

    def _log_in(self, application: str) -> psycopg.Connection:
        if self._password is not None:
            with suppress(psycopg.OperationalError):  # another process has set a password since
                return _connect(self._own.for_role(ASSISTANT, self._password), application)
        # No other process sets a password between our setting one and logging in with it.
        with self._engine.begin() as holder:
            wait_for_lock(holder, AdvisoryLock.ASSISTANT)
            self._password = _set_password(self._engine)
            return _connect(self._own.for_role(ASSISTANT, self._password), application)


def _connect(address: DatabaseAddress, application: str) -> psycopg.Connection:
    parameters: dict[str, Any] = build_connection_parameters(address, application)
    return psycopg.connect(**parameters, autocommit=True)


def _set_password(engine: Engine) -> str:
    """Make the role if need be, grant it reading, and return a new password for it."""
    password = secrets.token_urlsafe(24)
    try:
        with engine.begin() as connection:
            _make_role(connection)
            grant_reading_to_login(connection, ASSISTANT, password)
    except DBAPIError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise RoleError(
                f"the database's user may not make the role {ASSISTANT} ({read_first_line(error)}): have an "
                f"administrator give it CREATEROLE, {INSTEAD}"
            ) from None
        raise
    return password


def _make_role(connection: Connection) -> None:
    if not has_role(connection, ASSISTANT):
        connection.exec_driver_sql(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ASSISTANT)).as_string())
