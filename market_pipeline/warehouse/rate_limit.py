"""One rate limit for every process that works on the database: runs, schedules and the command line together.

Each request takes the next free slot from a table, first come first served, and waits until the slot's instant. All
instants are the database server's, so neither time zones nor differing clocks matter.
"""

import logging
import time

from sqlalchemy import Engine, text

log = logging.getLogger(__name__)

WORTH_TELLING = 1.0
"""Seconds from which on a user should see what is being waited for."""

_TAKE_SLOT = text("""
    INSERT INTO request_slots (at)
    SELECT greatest(
        clock_timestamp(),
        (SELECT at FROM request_slots ORDER BY at DESC OFFSET :others LIMIT 1) + make_interval(secs => :window)
    )
    RETURNING extract(epoch FROM at - clock_timestamp())::double precision
""")
_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
_FORGET = text("DELETE FROM request_slots WHERE at < clock_timestamp() - make_interval(secs => :window)")
_SLOTS_LOCK = 7_310_532


class SharedLimiter:
    """At most so many requests in any rolling window, among all processes on one database.

    Args:
        engine: the warehouse.
        requests_per_minute: the most requests within one window, at least 1.
        window_seconds: the window's length; the vendor's minute and what a request may take on its way there.
    """

    def __init__(self, engine: Engine, requests_per_minute: int, *, window_seconds: float) -> None:
        self._engine = engine
        self._most = requests_per_minute
        self._window = window_seconds

    def acquire(self) -> float:
        """Wait until one request may be sent, and return the seconds waited."""
        wait = self._take_slot()
        if wait >= WORTH_TELLING:
            log.info("waiting for the rate limit, %.0f s", wait)
        time.sleep(wait)
        return wait

    def _take_slot(self) -> float:
        with self._engine.begin() as connection:
            # PostgreSQL grants this lock in the order asked for, so that nobody is starved.
            connection.execute(_LOCK, {"lock": _SLOTS_LOCK})
            connection.execute(_FORGET, {"window": self._window})
            slot = connection.execute(_TAKE_SLOT, {"others": self._most - 1, "window": self._window})
            return max(float(slot.scalar_one()), 0.0)
