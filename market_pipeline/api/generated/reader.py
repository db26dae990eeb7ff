"""The API's connections to the warehouse: pooled, asynchronous, and with no right to change anything.

They are of the user of DATABASE_URL, turned into the reading role before their first statement. What is asked is said
elsewhere; here it is only sent, and what can go wrong with a database becomes a problem that a client understands.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor, errors
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from market_pipeline.api.limits import DOWNLOADS, QUERY_SECONDS, STREAM_SECONDS
from market_pipeline.api.problems import ProblemError, database_away
from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.settings import MOST_CONNECTIONS
from market_pipeline.warehouse.connections import check_server, parameters_of, session_statement
from market_pipeline.warehouse.read_only_connections import check_reading_session, reading_settings

QUICK_WAIT = 10.0
"""Seconds that a request waits for a connection to be free."""

OUTAGE_WAIT = 1.0
"""The same while the database is known to be away: then there is nothing to wait for."""

PLANNED_ONCE = "force_generic_plan"

CONNECT_TIMEOUT = "3"
"""Seconds: who asks over HTTP waits for less than a load does."""

AT_A_TIME = 64_000
"""Bytes: what a connection reads at a time, or more."""

LARGE = 100_000
"""Characters: a longer answer isn't kept by the connection that it came by."""

CHANGING = (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege)
UNASKABLE = (psycopg.DataError, errors.UndefinedFunction)
AWAY = (psycopg.OperationalError, psycopg.InterfaceError)
FAILURES = (*CHANGING, *UNASKABLE, *AWAY)
"""What can be wrong: with tables that are built anew, with what was asked, and with the database or its pool."""


@dataclass(frozen=True)
class Limits:
    """How long a statement may take, in seconds: one that a client waits for, and one that is streamed to it."""

    statement: float = QUERY_SECONDS
    stream: float = STREAM_SECONDS


class Reader:
    """The pools. Open it before the first request, close it after the last.

    Large downloads have connections of their own, one a place, so that they keep nobody else waiting. No request asks a
    pool for a second connection while it has one of it, so that none waits for itself.

    Args:
        url: the warehouse's address.
        role: the one that only reads.
        limits: how long statements may take.
        most: connections of all pools together, more than there are places for downloads.
    """

    def __init__(
        self, url: SecretStr, role: str, limits: Limits | None = None, *, most: int = MOST_CONNECTIONS
    ) -> None:
        limits = limits or Limits()
        quick = (most - DOWNLOADS) // 2
        self._quick = connection_pool(url, role, quick, QUICK_WAIT, limits.statement)
        # Making a plan takes longer than finding some bars by it.
        self._keyed = connection_pool(url, role, quick, QUICK_WAIT, limits.statement, plan=PLANNED_ONCE)
        self._bulk = connection_pool(url, role, DOWNLOADS, QUICK_WAIT, limits.stream)
        self._is_away = False

    @property
    def _pools(self) -> Sequence["Pool"]:
        return self._quick, self._keyed, self._bulk

    async def open(self) -> None:
        """Start connecting; a database that is away is no reason not to start."""
        for pool in self._pools:
            await pool.open()

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.close()

    async def row(self, statement: str, values: Sequence[Any] = (), *, by_key: bool = False) -> tuple[Any, ...]:
        """The one row that a statement returns, which finds what it reads `by_key` or not.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        pool = self._keyed if by_key else self._quick
        try:
            # As `pool.connection()` and `connection.execute` do it, without what they prepare anew every time.
            connection = await pool.getconn(self._patience)
            try:
                await connection.asking.execute(statement, values or None, prepare=True)
                row = await connection.asking.fetchone()
                if row and isinstance(row[0], str) and len(row[0]) > LARGE:
                    del connection.asking  # it would keep the row until it is asked again
            finally:
                await pool.putconn(connection)
        except FAILURES as error:
            raise await self._problem(error) from None
        self._is_away = False
        assert row is not None  # noqa: S101 - every statement asked this way returns one
        return row

    async def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a statement returns.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        async with self._connected(self._quick) as connection:
            cursor = await connection.execute(statement, values or None, prepare=True)
            return await cursor.fetchall()

    @asynccontextmanager
    async def snapshot(self, *, long: bool) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement sees the same state of the database.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        async with self._connected(self._bulk if long else self._quick) as connection, connection.transaction():
            yield connection

    @property
    def _patience(self) -> float | None:
        return OUTAGE_WAIT if self._is_away else None

    @asynccontextmanager
    async def _connected(self, pool: "Pool") -> AsyncIterator[AsyncConnection]:
        try:
            async with pool.connection(self._patience) as connection:
                yield connection
            self._is_away = False
        except FAILURES as error:
            raise await self._problem(error) from None

    async def _problem(self, error: psycopg.Error) -> ProblemError:
        """What a client is told of an error."""
        if isinstance(error, errors.QueryCanceled):
            return ProblemError(503, "the question took too long: ask for fewer rows, or filter by symbol")
        if isinstance(error, CHANGING):
            return ProblemError(503, "the tables are being changed: ask again", headers={"Retry-After": "5"})
        if isinstance(error, UNASKABLE):
            return ProblemError(400, f"that can't be asked: {error.diag.message_primary or 'see the types'}")
        if not self._is_away:
            self._is_away = True
            for pool in (self._quick, self._keyed):  # other connections are gone too, and would fail one by one
                await pool.drain()
        return database_away()


class Connection(AsyncConnection[TupleRow]):
    """A connection with a cursor that is used again: making one takes a third of the time of a question."""

    @cached_property
    def asking(self) -> AsyncCursor[TupleRow]:
        """The cursor. It holds its last answer."""
        return self.cursor()


Pool = AsyncConnectionPool[Connection]


def connection_pool(url: SecretStr, role: str, size: int, wait: float, seconds: float, plan: str = "auto") -> Pool:
    """A pool of at most so many connections of a role that only reads, not opened yet.

    `wait`: seconds until a request for a connection is refused. `seconds`: how long a statement may take. `plan`:
    PostgreSQL's plan_cache_mode.
    """
    address = DatabaseAddress.parse(url)
    settings = reading_settings(role, seconds) | {"plan_cache_mode": plan}

    async def prepare(connection: Connection) -> None:
        info = connection.info
        check_server(address, info.server_version, info.parameter_status("server_encoding"))
        # libpq's buffer starts small and keeps the size that a value once needed. With a small one, rows come a few at
        # a time, and a long answer is waited for again and again.
        statement = session_statement(settings, info.server_version, also=f"repeat(' ', {AT_A_TIME})")
        row = await (await connection.execute(statement.encode())).fetchone()
        assert row is not None  # noqa: S101 - it returns one
        check_reading_session(address, info.backend_pid, row, role)

    return AsyncConnectionPool(
        kwargs={
            **parameters_of(address, "market_pipeline_api"),
            "connect_timeout": CONNECT_TIMEOUT,
            "autocommit": True,
        },
        connection_class=Connection,
        configure=prepare,
        min_size=1,
        max_size=size,
        timeout=wait,
        max_idle=600,
        reconnect_timeout=1.0,  # the next request tries again, rather than the pool in ever longer intervals
        open=False,
    )
