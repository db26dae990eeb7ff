"""Pools that limit together how many threads of a process have connections at the same time.

SQLAlchemy's own limit makes a call within another wait as well: once all connections are with threads that need a
second one, all of them wait for each other. Here only a thread that has none waits, for threads that wait for nobody.
"""

import threading
from collections import Counter
from typing import Any

from sqlalchemy import QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry


class _Holders:
    """The threads of this process that have connections, of whichever pools, and how many."""

    def __init__(self) -> None:
        self._connections: Counter[int] = Counter()
        # Reentrant, as a forgotten connection is given back by the garbage collector, at any instant.
        self._changed = threading.Condition(threading.RLock())

    def add(self, most: int, patience: float) -> int:
        """Count one more connection of this thread, which is returned: at once if it has one, else when few have any.

        Raises:
            sqlalchemy.exc.TimeoutError: so many seconds long, `most` threads had connections.
        """
        thread = threading.get_ident()

        def may() -> bool:
            return thread in self._connections or len(self._connections) < most

        with self._changed:
            if not self._changed.wait_for(may, patience):
                raise PoolTimeoutError(f"{most} threads have connections, and none gave one back in {patience:.0f} s")
            self._connections[thread] += 1
        return thread

    def remove(self, thread: int) -> None:
        """Count one connection of a thread less, in whichever thread."""
        with self._changed:
            self._connections[thread] -= 1
            if self._connections[thread] <= 0:
                del self._connections[thread]
                self._changed.notify_all()


_HOLDERS = _Holders()


class BoundedPool(QueuePool):
    """Keeps up to `pool_size` idle connections, and hands out none while `most` other threads have some.

    Args:
        creator: opens a connection, as QueuePool has it.
        most: threads of this process that have connections of any such pool at the same time.
        options: those of QueuePool; `timeout` is how long a thread waits for its first connection, in seconds.
    """

    __module__ = QueuePool.__module__  # names its logger, which is to be as quiet as SQLAlchemy's own

    def __init__(self, creator: Any, most: int = 1, **options: Any) -> None:  # SQLAlchemy looks for `most` by name
        super().__init__(creator, **{**options, "max_overflow": -1})
        self.most = most
        self._threads: dict[ConnectionPoolEntry, int] = {}

    def recreate(self) -> "BoundedPool":
        """Make another such pool, as SQLAlchemy does where an engine is disposed of."""
        pool = super().recreate()
        assert isinstance(pool, BoundedPool)  # noqa: S101 - for mypy
        pool.most = self.most
        return pool

    def _do_get(self) -> ConnectionPoolEntry:
        thread = _HOLDERS.add(self.most, self._timeout)
        try:
            record = super()._do_get()
        except BaseException:
            _HOLDERS.remove(thread)
            raise
        self._threads[record] = thread
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        thread = self._threads.pop(record, None)
        try:
            super()._do_return_conn(record)
        finally:
            if thread is not None:
                _HOLDERS.remove(thread)
