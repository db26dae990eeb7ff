"""Connection pools with one limit on the threads of a process that hold connections at the same time.

SQLAlchemy's own limit blocks a nested call too: once all connections are with threads that need a second one, all of
them wait for each other. Here only a thread that holds none waits, for threads that wait for no other.
"""

import threading
from collections import Counter
from typing import Any

from sqlalchemy import QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry


class _Holders:
    """The threads of this process that hold connections of any pool, and the number of each."""

    def __init__(self) -> None:
        self._connections: Counter[int] = Counter()
        # Reentrant, as the garbage collector returns a forgotten connection at any instant.
        self._changed = threading.Condition(threading.RLock())

    def add(self, most: int, timeout: float) -> int:
        """Count one more connection for this thread: at once if it holds one, else when fewer than `most` hold any.

        Raises:
            sqlalchemy.exc.TimeoutError: so many seconds long, `most` threads had connections.
        """
        thread = threading.get_ident()

        def may() -> bool:
            return thread in self._connections or len(self._connections) < most

        with self._changed:
            if not self._changed.wait_for(may, timeout):
                raise PoolTimeoutError(f"{most} threads have connections, and none gave one back in {timeout:.0f} s")
            self._connections[thread] += 1
        return thread

    def remove(self, thread: int) -> None:
        """Count one connection of a thread less; called in any thread."""
        with self._changed:
            self._connections[thread] -= 1
            if self._connections[thread] <= 0:
                del self._connections[thread]
                self._changed.notify_all()


_HOLDERS = _Holders()


class BoundedPool(QueuePool):
    """Keeps up to `pool_size` idle connections, and hands out none while `most` other threads hold some.

    Args:
        creator: opens a connection, as QueuePool has it.
        most: limit on the threads of this process that hold connections of any such pool.
        options: those of QueuePool; `timeout` is a thread's longest wait for its first connection, in seconds.
    """

    __module__ = QueuePool.__module__  # names its logger, which logs as little as SQLAlchemy's own

    def __init__(self, creator: Any, most: int = 1, **options: Any) -> None:  # SQLAlchemy looks for `most` by name
        super().__init__(creator, **{**options, "max_overflow": -1})
        self.most = most
        self._threads: dict[ConnectionPoolEntry, int] = {}

    def recreate(self) -> "BoundedPool":
        """Make another such pool, as SQLAlchemy does after an engine is disposed of."""
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
