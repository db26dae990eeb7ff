"""One rate limit for every process that works on the database: runs, schedules and the command line together.

Each request takes the next free slot from a table, first come first served, and waits until the slot's instant. All
instants are the database server's, so neither time zones nor differing clocks matter. If that server's clock was set
back, so that the newest slot was taken in the future, all slots are set back by as much.
"""

import logging
import threading

from psycopg import sql
from sqlalchemy import Engine

from market_pipeline.core import stop_signals
from market_pipeline.warehouse.locks import AdvisoryLock

log = logging.getLogger(__name__)

LOGGED_SECONDS = 1.0
"""Seconds of waiting from which on a user should see a message."""

_TAKE_SLOT = """
    SELECT pg_advisory_xact_lock({lock});

    UPDATE request_slots SET at = at - clock.set_back, taken_at = taken_at - clock.set_back
    FROM (SELECT max(taken_at) - clock_timestamp() AS set_back FROM request_slots) AS clock
    WHERE clock.set_back > interval '0';

    DELETE FROM request_slots WHERE at < clock_timestamp() - make_interval(secs => {window});

    INSERT INTO request_slots (taken_at, at)
    SELECT now, greatest(
        now, (SELECT at FROM request_slots ORDER BY at DESC OFFSET {others} LIMIT 1) + make_interval(secs => {window})
    ) FROM clock_timestamp() AS now
    RETURNING extract(epoch FROM at - clock_timestamp())::double precision
"""
"""Statements that are sent together, and so are one transaction: six round trips took 2 ms of each request."""


class SharedLimiter:
    """Allows a number of requests in any rolling window, among all processes on one database.

    Args:
        engine: the warehouse.
        requests_per_minute: the most requests within one window, at least 1.
        window_seconds: the window's length; the vendor's minute and what a request may take on its way there.
    """

    def __init__(self, engine: Engine, requests_per_minute: int, *, window_seconds: float) -> None:
        self._engine = engine
        values = {"lock": AdvisoryLock.REQUEST_SLOTS.value, "others": requests_per_minute - 1, "window": window_seconds}
        self._take = sql.SQL(_TAKE_SLOT).format(**values)
        self._taking = threading.Lock()

    def acquire(self) -> float:
        """Wait until one request may be sent, and return the seconds waited.

        If the server's clock was set back, the wait is at most one window longer than the earlier requests demand.
        """
        wait = self._take_slot()
        if wait >= LOGGED_SECONDS:
            log.info("waiting for the rate limit, %.0f s", wait)
        stop_signals.pause(wait)
        return wait

    def _take_slot(self) -> float:
        # One thread at a time takes a slot: further connections of this process would only wait.
        with self._taking, self._engine.connect() as connection:
            driver = connection.execution_options(isolation_level="AUTOCOMMIT").connection.driver_connection
            assert driver is not None  # noqa: S101 - a connection in use has one
            results = driver.execute(self._take, prepare=False)
            while results.nextset():
                continue
            return max(float(results.fetchone()[0]), 0.0)
