"""Advisory locks of the warehouse's database: the number and the purpose of each.

Locks whose number is computed from a name are not here: those of runs (of their ids) and of databases being restored.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, unique

from sqlalchemy import Connection, Engine, text


@unique
class AdvisoryLock(IntEnum):
    """A lock by its number. Processes of older versions hold the same ones, so a number never changes."""

    MIGRATION = 7_310_531
    """Migrating the schema."""
    REQUEST_SLOTS = 7_310_532
    """Taking a slot of the shared rate limit. PostgreSQL grants it in the order of requests, so none waits for ever."""
    MART_BUILD = 7_310_533
    """Building the marts."""
    ROLES = 7_310_534
    """Making the reading role."""
    UP = 7_310_535
    """Running `market-pipeline up`."""
    ASSISTANT = 7_310_536
    """Setting the password of the assistants' role, and logging in with it."""
    SYMBOL_NAMES = 0x6E616D6573
    """Giving a symbol its name."""


def wait_for_lock(connection: Connection, lock: AdvisoryLock) -> None:
    """Hold a lock until the transaction ends, once every other holder has released it."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


@contextmanager
def hold_lock(warehouse: Engine, key: int) -> Iterator[None]:
    """Hold a lock on a connection of its own, once every other holder has released it.

    PostgreSQL releases it at the end of the connection, even if this process is killed.
    """
    with warehouse.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        connection.commit()  # no transaction stays open meanwhile
        yield
