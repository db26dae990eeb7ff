"""Replacement of pooled connections that the server has closed, without a test query before each use.

SQLAlchemy's `pool_pre_ping` makes one: a round trip for every transaction, of which a night's run of many symbols has
thousands.
"""

import select
import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

IDLE_SECONDS = 30
"""Idle time after which a connection is tested in any case: one cut off on the way looks alive."""


def replace_lost_connections(engine: Engine) -> None:
    """Check each pooled connection before it is used, and open another one if it was lost."""
    event.listen(engine, "checkin", _record_checkin)
    event.listen(engine, "checkout", _replace_if_lost)


def _record_checkin(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _replace_if_lost(connection: Any, record: Any, _proxy: object) -> None:
    now = time.monotonic()
    long_idle = now - record.info.get("idle_since", now) > IDLE_SECONDS
    if (long_idle or _has_something_to_read(connection)) and not _responds(connection):
        raise DisconnectionError("closed by the server")


def _has_something_to_read(connection: Any) -> bool:
    """Return True if the server has sent something without a request: usually that it has ended the connection."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(0))


def _responds(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except Exception:  # each driver has its own, and after none is the connection usable
        return False
    return True
