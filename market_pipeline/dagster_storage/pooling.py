"""What the storages of dagster-postgres lack: tables made all at once, and a connection that is kept.

Knows nothing of what is stored.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from market_pipeline.core import stop_signals
from market_pipeline.core.settings import MOST_CONNECTIONS
from market_pipeline.dagster_storage.internals import create_pg_connection, create_pg_engine, set_pg_statement_timeout
from market_pipeline.warehouse.connection_pools import BoundedPool
from market_pipeline.warehouse.connections import install_connector
from market_pipeline.warehouse.lost_connections import replace_lost_connections

RECYCLE_SECONDS = 1800
"""How old a kept connection may get, well under what firewalls and poolers between us and a server allow."""

RETURN_SECONDS = 5.0
"""Seconds in which a database that has gone away may come back without a command's run ending."""


class Pooled:
    """Mixin, to stand before one of the storages of dagster-postgres.

    All tables are made in one transaction: as shipped each is committed alone, and a storage whose maker was killed
    half-way counts as made for ever.

    One idle connection is kept, or as many as `KEPT` says, so that a process that holds many instances holds few.
    Whoever needs more at the same time opens and closes their own, as many as DATABASE_MAX_CONNECTIONS allows the
    process; a call made within another opens one in any case, as it can't wait for itself. A connection that has died,
    say because PostgreSQL was restarted, is noticed and replaced before it is used.

    Every connection has the settings of warehouse/connections.py, those of the shipped storages' own engines too.
    """

    KEPT = 1
    gives_up = False
    """True while this process waits once for a lost database, and no more: see `giving_up_once_lost`."""
    lost = False
    """True where it has been waited for in vain."""
    __engine: Engine

    @property
    def _engine(self) -> Engine:
        """The engine, of which the shipped storages make one before we do, and more to their liking."""
        return self.__engine

    @_engine.setter
    def _engine(self, engine: Engine) -> None:
        install_connector(engine)
        self.__engine = engine

    def __init__(
        self, postgres_url: str, *, should_autocreate_tables: bool = True, most: int = MOST_CONNECTIONS
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables)  # type: ignore[call-arg]
        self._engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            poolclass=BoundedPool,
            pool_size=self.KEPT,
            most=most,
            pool_recycle=RECYCLE_SECONDS,
            hide_parameters=True,
        )
        replace_lost_connections(self._engine)

    def connect(self, run_id: str | None = None) -> AbstractContextManager[Connection]:  # noqa: ARG002
        """A connection of the pool, for which a database that has gone away is waited for."""
        return _connected(self._engine) if Pooled.gives_up else create_pg_connection(self._engine)

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
        """Cut statements off after `statement_timeout` milliseconds; the pool that is asked for is here already."""

        def cut_off(connection: Any, _record: object) -> None:
            set_pg_statement_timeout(connection, statement_timeout)

        event.listen(self._engine, "connect", cut_off)
        self._engine.dispose()

    def dispose(self) -> None:
        """Close the kept connection; a later call opens another."""
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


@contextmanager
def giving_up_once_lost() -> Iterator[None]:
    """Wait once, for seconds, for a database that has gone away, and meanwhile log nothing of it.

    The shipped storages wait 11 s in every call and log each attempt, and a run that fails makes a dozen calls. That
    is right for a daemon, which is to outlast a restart, and wrong for a command, which is to say what it has done.
    """
    Pooled.gives_up, Pooled.lost = True, False
    try:
        yield
    finally:
        Pooled.gives_up = False


def _connected(engine: Engine) -> Connection:
    deadline = time.monotonic() + RETURN_SECONDS
    while True:
        try:
            connection = engine.connect()
        except (DatabaseError, PoolTimeoutError):
            if Pooled.lost or stop_signals.requested() or time.monotonic() > deadline:
                Pooled.lost = True
                raise
        else:
            Pooled.lost = False
            return connection
        time.sleep(0.2)
