"""The API's connections to the warehouse: pooled, asynchronous, and with no right to change anything.

They are of the user of DATABASE_URL, turned into the reading role before their first statement. What is asked is said
elsewhere; here it is only sent, and what can go wrong with a database becomes a problem that a client understands.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import SecretStr
from sqlalchemy import make_url

from market_pipeline.api.problems import ProblemError, database_away

QUICK_CONNECTIONS, BULK_CONNECTIONS = 8, 4
"""Long downloads have connections of their own, so that they keep nobody else waiting."""

QUICK_WAIT, BULK_WAIT = 10.0, 30.0
"""Seconds that a request waits for a connection to be free; who downloads a lot would rather wait than not have it."""

OUTAGE_WAIT = 1.0
"""The same while the database is known to be away: then there is nothing to wait for."""


@dataclass(frozen=True)
class Limits:
    """How long a statement may take, in seconds: one that a client waits for, and one that is streamed to it."""

    statement: float = 15.0
    stream: float = 300.0


class Reader:
    """The pools. Open it before the first request, close it after the last."""

    def __init__(self, url: SecretStr, role: str, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._quick = _pool(url, role, QUICK_CONNECTIONS, QUICK_WAIT, limits.statement)
        self._bulk = _pool(url, role, BULK_CONNECTIONS, BULK_WAIT, limits.stream)
        self._is_away = False

    async def open(self) -> None:
        """Start connecting; a database that is away is no reason not to start."""
        await self._quick.open()
        await self._bulk.open()

    async def close(self) -> None:
        """Close all connections."""
        await self._quick.close()
        await self._bulk.close()

    async def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The one row that a statement returns.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        async with self._asking(), self._connected(self._quick) as connection:
            return await _row(connection, statement, values)

    async def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a statement returns.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        async with self._asking(), self._connected(self._quick) as connection:
            cursor = await connection.execute(statement, values or None, prepare=True)
            return await cursor.fetchall()

    @asynccontextmanager
    async def snapshot(self, *, long: bool) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement sees the same state of the database.

        Raises:
            ProblemError: the database can't be reached, or took too long.
        """
        pool = self._bulk if long else self._quick
        async with self._asking(), self._connected(pool) as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection

    def _connected(self, pool: AsyncConnectionPool) -> AbstractAsyncContextManager[AsyncConnection]:
        return pool.connection(OUTAGE_WAIT if self._is_away else None)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            yield
            self._is_away = False
        except errors.QueryCanceled:
            raise ProblemError(503, "the question took too long: ask for fewer rows, or filter by symbol") from None
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege):
            raise ProblemError(503, "the tables are being changed: ask again", headers={"Retry-After": "5"}) from None
        except (psycopg.DataError, errors.UndefinedFunction) as error:
            raise ProblemError(400, f"that can't be asked: {error.diag.message_primary or 'see the types'}") from None
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
            if not self._is_away:
                self._is_away = True
                await self._quick.drain()  # other connections are gone too, and would fail one by one
            raise database_away() from None


async def _row(connection: AsyncConnection, statement: str, values: Sequence[Any]) -> tuple[Any, ...]:
    cursor = await connection.execute(statement, values or None, prepare=True)
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - every statement asked this way returns one
    return row


def _pool(url: SecretStr, role: str, size: int, wait: float, seconds: float) -> AsyncConnectionPool:
    plain = make_url(url.get_secret_value()).set(drivername="postgresql").render_as_string(hide_password=False)
    options = {
        "role": role,
        "default_transaction_read_only": "on",
        "statement_timeout": f"{round(seconds * 1000)}",
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
        "datestyle": "ISO",
        "jit": "off",  # compiling takes longer than a question here does
    }
    return AsyncConnectionPool(
        make_conninfo(
            plain,
            options=" ".join(f"-c {name}={value}" for name, value in options.items()),
            connect_timeout="3",
            application_name="market_pipeline_api",
        ),
        kwargs={"autocommit": True},
        min_size=1,
        max_size=size,
        timeout=wait,
        max_idle=600,
        reconnect_timeout=1.0,  # the next request tries again, rather than the pool in ever longer intervals
        open=False,
    )
