"""The API's connections to the warehouse: pooled, asynchronous and read-only.

They log in as the user of DATABASE_URL and take the reading role before their first statement. Errors of the database
become problems that a client understands.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor, errors
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from market_pipeline.api.limits import DOWNLOADS, QUERY_SECONDS, STREAM_SECONDS
from market_pipeline.api.problems import ProblemError, build_unavailable_problem
from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.settings import MOST_CONNECTIONS
from market_pipeline.warehouse.connections import build_connection_parameters, build_session_statement, check_server
from market_pipeline.warehouse.read_only_connections import build_reading_settings, check_reading_session

QUICK_WAIT = 10.0
"""Seconds that a request waits for a free connection."""

OUTAGE_WAIT = 1.0
"""The same while the database is known to be unreachable."""

PLANNED_ONCE = "force_generic_plan"

CONNECT_TIMEOUT = "3"
"""Seconds: an HTTP client waits for less time than a load does."""

READ_BYTES = 64_000
"""Bytes that a connection reads at a time, at least."""

LARGE_RESULT = 100_000
"""Characters: a longer result is not kept by its connection."""

CHANGING = (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege)
INVALID = (psycopg.DataError, errors.UndefinedFunction)
UNREACHABLE = (psycopg.OperationalError, psycopg.InterfaceError)
FAILURES = (*CHANGING, *INVALID, *UNREACHABLE)
"""Errors of tables that are being rebuilt, of invalid statements, and of the database or its pool."""


class QueryTimeoutError(ProblemError):
    """A query took longer than its time limit."""


@dataclass(frozen=True)
class ReadSnapshot:
    """A connection in a transaction that sees one state of the database, and the settled point of that state."""

    connection: AsyncConnection
    point: datetime


@dataclass(frozen=True)
class Limits:
    """Time limits of statements, in seconds: one that a client waits for, and one that is streamed."""

    statement: float = QUERY_SECONDS
    stream: float = STREAM_SECONDS


class Reader:
    """The connection pools. Open them before the first request, close them after the last.

    Large downloads have a pool of their own, with a connection for each download slot, so they delay no other request.
    No request takes a second connection of a pool while it has one, so none waits for itself.

    Args:
        url: the warehouse's URL.
        role: the reading role.
        limits: time limits of statements.
        most: connections of all pools together, more than download slots.
    """

    def __init__(
        self, url: SecretStr, role: str, limits: Limits | None = None, *, most: int = MOST_CONNECTIONS
    ) -> None:
        limits = limits or Limits()
        quick = (most - DOWNLOADS) // 2
        self._quick = create_connection_pool(url, role, quick, QUICK_WAIT, limits.statement)
        # Planning takes longer than finding some bars by the plan.
        self._keyed = create_connection_pool(url, role, quick, QUICK_WAIT, limits.statement, plan=PLANNED_ONCE)
        self._bulk = create_connection_pool(url, role, DOWNLOADS, QUICK_WAIT, limits.stream)
        self._is_away = False

    @property
    def _pools(self) -> Sequence["Pool"]:
        return self._quick, self._keyed, self._bulk

    async def open(self) -> None:
        """Start to connect. The API starts even if the database is unreachable."""
        for pool in self._pools:
            await pool.open()

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.close()

    async def row(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] = (), *, by_key: bool = False
    ) -> tuple[Any, ...]:
        """Return the single row of a statement. `by_key`: it finds its rows by their key.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        pool = self._keyed if by_key else self._quick
        try:
            # As `pool.connection()` and `connection.execute`, without the objects that these create every time.
            connection = await pool.getconn(self._wait_seconds)
            try:
                await connection.reused_cursor.execute(statement, values or None, prepare=True)
                row = await connection.reused_cursor.fetchone()
                if row and isinstance(row[0], str) and len(row[0]) > LARGE_RESULT:
                    del connection.reused_cursor  # it would keep the row until its next statement
            finally:
                await pool.putconn(connection)
        except FAILURES as error:
            raise await self._problem(error) from error
        self._is_away = False
        assert row is not None  # noqa: S101 - every statement sent this way returns one
        return row

    async def rows(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a statement.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        async with self._connect(self._quick) as connection:
            cursor = await connection.execute(statement, values or None, prepare=True)
            return await cursor.fetchall()

    @asynccontextmanager
    async def snapshot(self, *, long: bool) -> AsyncIterator[ReadSnapshot]:
        """Yield a connection on which every statement sees the same state of the database, with the state's point.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        async with self._connect(self._bulk if long else self._quick) as connection:
            cursor = await connection.execute("BEGIN; SELECT settled_point()")  # in one round trip
            cursor.nextset()
            try:
                yield ReadSnapshot(connection, (await cursor.fetchall())[0][0])
            finally:
                if not connection.closed:
                    await connection.rollback()

    @property
    def _wait_seconds(self) -> float | None:
        return OUTAGE_WAIT if self._is_away else None

    @asynccontextmanager
    async def _connect(self, pool: "Pool") -> AsyncIterator[AsyncConnection]:
        try:
            async with pool.connection(self._wait_seconds) as connection:
                yield connection
            self._is_away = False
        except FAILURES as error:
            raise await self._problem(error) from error

    async def _problem(self, error: psycopg.Error) -> ProblemError:
        """Return the problem for an error of the database."""
        if isinstance(error, errors.QueryCanceled):
            return QueryTimeoutError(503, "the query took too long: request fewer rows, or filter by symbol")
        if isinstance(error, CHANGING):
            return ProblemError(503, "the tables are being changed: try again", headers={"Retry-After": "5"})
        if isinstance(error, INVALID):
            return ProblemError(400, f"the query is invalid: {error.diag.message_primary or 'see the types'}")
        if not self._is_away:
            self._is_away = True
            for pool in (self._quick, self._keyed):  # other connections are lost too, and would fail one by one
                await pool.drain()
        return build_unavailable_problem()


class PooledConnection(AsyncConnection[TupleRow]):
    """A connection with a reused cursor: creating one takes a third of the time of a query."""

    @cached_property
    def reused_cursor(self) -> AsyncCursor[TupleRow]:
        """The cursor. It keeps its last result."""
        return self.cursor()


Pool = AsyncConnectionPool[PooledConnection]


def create_connection_pool(
    url: SecretStr, role: str, size: int, wait: float, seconds: float, plan: str = "auto"
) -> Pool:
    """Create a pool of at most `size` connections of the reading role. It is not opened yet.

    `wait`: seconds until a request for a connection fails. `seconds`: time limit of a statement. `plan`: PostgreSQL's
    plan_cache_mode.
    """
    address = DatabaseAddress.parse(url)
    settings = build_reading_settings(role, seconds) | {"plan_cache_mode": plan}

    async def prepare(connection: PooledConnection) -> None:
        info = connection.info
        check_server(address, info.server_version, info.parameter_status("server_encoding"))
        # libpq's buffer starts small and keeps the size that a value once needed. A small one receives a few rows at a
        # time, with a wait for each.
        statement = build_session_statement(settings, info.server_version, also=f"repeat(' ', {READ_BYTES})")
        row = await (await connection.execute(statement.encode())).fetchone()
        assert row is not None  # noqa: S101 - it returns one
        check_reading_session(address, info.backend_pid, row, role)

    return AsyncConnectionPool(
        kwargs={
            **build_connection_parameters(address, "market_pipeline_api"),
            "connect_timeout": CONNECT_TIMEOUT,
            "autocommit": True,
        },
        connection_class=PooledConnection,
        configure=prepare,
        min_size=1,
        max_size=size,
        timeout=wait,
        max_idle=600,
        reconnect_timeout=1.0,  # the next request retries; the pool's own intervals would grow
        open=False,
    )
