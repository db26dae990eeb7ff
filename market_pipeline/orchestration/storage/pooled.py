"""What the storages of dagster-postgres lack: tables made all at once, and a connection that is kept.

Knows nothing of what is stored.
"""

import select
import time
from typing import Any

from dagster_postgres.utils import create_pg_engine, set_pg_statement_timeout
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

RECYCLE_SECONDS = 1800
"""How old a kept connection may get, well under what firewalls and poolers between us and a server allow."""

IDLE_SECONDS = 30
"""After how long out of use a kept connection is asked whether it still answers; until then it is only looked at."""


class Pooled:
    """Mixin, to stand before one of the storages of dagster-postgres.

    All tables are made in one transaction: as shipped each is committed alone, and a storage whose maker was killed
    half-way counts as made for ever.

    One idle connection is kept. Whoever needs more at the same time opens and closes their own, so that a call made
    within another can't wait for itself, and a process that holds many instances holds few connections. A connection
    that has died, say because PostgreSQL was restarted, is noticed and replaced before it is used.
    """

    def __init__(self, postgres_url: str, *, should_autocreate_tables: bool = True) -> None:
        super().__init__(postgres_url, should_autocreate_tables)  # type: ignore[call-arg]
        self._engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=-1,
            pool_recycle=RECYCLE_SECONDS,
            hide_parameters=True,
        )
        event.listen(self._engine, "checkin", _note_the_time)
        event.listen(self._engine, "checkout", _refuse_a_lost_one)

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


def _note_the_time(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _refuse_a_lost_one(connection: Any, record: Any, _proxy: object) -> None:
    """Have the pool replace a connection that the server has closed.

    From such a one there is something to read though nothing was asked. Seeing that takes no round trip, which as many
    as there are events in a run would be felt.
    """
    arrived = select.poll()
    arrived.register(connection, select.POLLIN)
    if arrived.poll(0):
        raise DisconnectionError("closed by the server")
    if time.monotonic() - record.info.get("idle_since", time.monotonic()) > IDLE_SECONDS:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except connection.Error as error:
            raise DisconnectionError(str(error)) from None
