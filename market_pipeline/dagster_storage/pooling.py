"""Connections of the storages: tables made in one transaction, and idle connections kept for the next call."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, QueuePool, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from market_pipeline.dagster_storage.internals import (
    create_pg_connection,
    create_pg_engine,
    set_pg_statement_timeout,
)

RECYCLE_SECONDS = 1800
"""Age at which a kept connection is replaced, well under the limits of firewalls and poolers on the way."""

RETURN_SECONDS = 5.0
"""Seconds in which a lost database may come back without the run of a command ending."""


@dataclass
class SingleWait:
    """The one wait of a process for a lost database; `lost` is True after a wait in vain."""

    stopping: Callable[[], bool]
    lost: bool = False

    def connect(self, engine: Engine) -> Connection:
        """Return a connection, after `RETURN_SECONDS` at most.

        Raises:
            sqlalchemy.exc.DatabaseError: the database is still gone.
            sqlalchemy.exc.TimeoutError: other threads hold all connections.
        """
        deadline = time.monotonic() + RETURN_SECONDS
        while True:
            try:
                connection = engine.connect()
            except (DatabaseError, PoolTimeoutError):
                if self.lost or self.stopping() or time.monotonic() > deadline:
                    self.lost = True
                    raise
            else:
                self.lost = False
                return connection
            time.sleep(0.2)


class Pooled:
    """Mixin that keeps connections. List it before one of the storages of dagster-postgres.

    All tables are made in one transaction: the shipped storages commit each table alone, and take a storage whose maker
    was killed halfway for complete.

    One idle connection is kept, or as many as `KEPT`, so that a process with many instances holds few. Calls that need
    more at the same time open their own and close them. A connection that has died, for example because PostgreSQL was
    restarted, is replaced before it is used.

    Override `pool_options`, `prepare_engine` or `create_engine` to use another pool or to set up connections.
    """

    KEPT = 1
    single_wait: ClassVar["SingleWait | None"] = None
    """Set while this process waits only once for a lost database: see `giving_up_once_lost`."""
    __engine: Engine

    def __init__(self, postgres_url: str, *, should_autocreate_tables: bool = True) -> None:
        super().__init__(postgres_url, should_autocreate_tables)  # type: ignore[call-arg]
        self._engine = self.create_engine(postgres_url)

    @property
    def _engine(self) -> Engine:
        """The engine; the shipped storages set one of their own first."""
        return self.__engine

    @_engine.setter
    def _engine(self, engine: Engine) -> None:
        self.prepare_engine(engine)
        self.__engine = engine

    def pool_options(self) -> dict[str, Any]:
        """Return SQLAlchemy's options of the pool, `poolclass` among them; `pool_size` is `KEPT`."""
        return {"poolclass": QueuePool, "max_overflow": -1, "pool_pre_ping": True}

    def prepare_engine(self, engine: Engine) -> None:
        """Set up an engine before its first connection: the pooled one, and those of the shipped storages."""

    def create_engine(self, postgres_url: str) -> Engine:
        """Return the engine whose connections are kept; each statement commits unless in a transaction."""
        engine: Engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=self.KEPT,
            pool_recycle=RECYCLE_SECONDS,
            hide_parameters=True,
            **self.pool_options(),
        )
        return engine

    def connect(self, run_id: str | None = None) -> AbstractContextManager[Connection]:  # noqa: ARG002
        """Return a connection of the pool, after waiting for a database that is gone."""
        return Pooled.single_wait.connect(self._engine) if Pooled.single_wait else create_pg_connection(self._engine)

    def _connect(self) -> AbstractContextManager[Connection]:
        return self.connect()

    def _init_db(self) -> None:
        """Make all the tables or none."""
        shipped: Engine = self._engine
        self._engine = shipped.execution_options(isolation_level="READ COMMITTED")
        try:
            super()._init_db()  # type: ignore[misc]
        finally:
            self._engine = shipped

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:  # noqa: ARG002
        """Limit each statement to `statement_timeout` milliseconds; the pool is pooled already."""

        def limit(connection: Any, _record: object) -> None:
            set_pg_statement_timeout(connection, statement_timeout)

        event.listen(self._engine, "connect", limit)
        self._engine.dispose()

    def dispose(self) -> None:
        """Close the kept connections; a later call opens another."""
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


@contextmanager
def giving_up_once_lost(stopping: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Wait only once, for `RETURN_SECONDS`, for a lost database, and log nothing about it.

    The shipped storages wait 11 s in every call and log each attempt, and a run that fails makes a dozen calls. A
    daemon needs that, to outlast a restart of PostgreSQL; a command has to end and report its result.

    Args:
        stopping: returns True once the process is to end; the wait ends then.
    """
    Pooled.single_wait = SingleWait(stopping)
    try:
        yield
    finally:
        Pooled.single_wait = None
