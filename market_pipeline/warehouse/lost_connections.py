"""Replacing pooled connections that a server has closed, without asking before each use whether they still live.

SQLAlchemy's `pool_pre_ping` asks: a round trip for every transaction, of which a night's run of many symbols has
thousands.
"""

import select
import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

IDLE_SECONDS = 30
"""After how long out of use a connection is asked, whatever it looks like: one cut off on the way looks alive."""


def replace_lost_connections(engine: Engine) -> None:
    """Have the engine's pool look at each connection before it is used, and open another where it was lost."""
    event.listen(engine, "checkin", _note_the_time)
    event.listen(engine, "checkout", _refuse_a_lost_one)


def _note_the_time(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _refuse_a_lost_one(connection: Any, record: Any, _proxy: object) -> None:
    now = time.monotonic()
    long_idle = now - record.info.get("idle_since", now) > IDLE_SECONDS
    if (long_idle or _has_something_to_read(connection)) and not _answers(connection):
        raise DisconnectionError("closed by the server")


def _has_something_to_read(connection: Any) -> bool:
    """Whether the server has sent something nobody asked for: its goodbye, as a rule."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(0))


def _answers(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except Exception:  # each driver has its own, and none leaves a connection to be trusted
        return False
    return True
