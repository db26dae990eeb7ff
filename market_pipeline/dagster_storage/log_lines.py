"""Lines of the runs' logs, written together: a night of 500 symbols has a thousand, each a round trip otherwise.

A line waits for the next event or read of this storage, but at most `WAIT_SECONDS`. So no line is stored after an event
that follows it. An error is written at once: a process that is killed loses at most the lines after its last event
or error, of `WAIT_SECONDS`.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, text

from market_pipeline.dagster_storage.internals import SqlEventLogStorageTable

WAIT_SECONDS = 0.2
"""The longest wait of a line; the UI fetches new ones less often."""

MOST_WAITING = 1000
"""Waiting lines from which on the thread that logs writes them itself, so that they can't fill the memory."""

# They touch no other table, and don't wait for the disk: a server that crashes may lose the last lines, but not the
# events and bars they report, which wait.
_INSERT = text(f"""
    INSERT INTO {SqlEventLogStorageTable.name} (run_id, event, timestamp, step_key)
    SELECT line.run_id, line.event, line.at, line.step_key
    FROM set_config('synchronous_commit', 'off', true),
         unnest(CAST(:run_id AS text[]), CAST(:event AS text[]), CAST(:timestamp AS timestamp[]),
                CAST(:step_key AS text[])) WITH ORDINALITY AS line (run_id, event, at, step_key, position)
    ORDER BY line.position
""")  # noqa: S608 - a table's name


class LogLines:
    """Lines that wait to be written.

    Args:
        connect: opens a connection whose statements commit by themselves.
        on_error: called with an error of writing that no caller sees.
    """

    def __init__(
        self, connect: Callable[[], AbstractContextManager[Connection]], on_error: Callable[[Exception], None]
    ) -> None:
        self._connect = connect
        self._on_error = on_error
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None

    def add(self, row: Mapping[str, Any], *, at_once: bool) -> None:
        """Have a line written soon, or at once with those that wait.

        Args:
            row: of the event log.
            at_once: True to return when it is stored.

        Raises:
            sqlalchemy.exc.DBAPIError: it was to be written at once, or too many wait, and the database can't be used.
        """
        self._waiting.append(row)
        if at_once or len(self._waiting) >= MOST_WAITING:
            self.flush()
        elif self._timer is None:
            # No daemon: a process that ends waits for it.
            self._timer = threading.Timer(WAIT_SECONDS, self._flush_late)
            self._timer.start()

    def flush(self) -> None:
        """Write the lines that wait, and return when those that other threads are writing are stored too.

        Raises:
            sqlalchemy.exc.DBAPIError: the database can't be used.
        """
        # Lines leave only while the lock is held: if none wait and it is free, all are stored.
        if not self._waiting and not self._writing.locked():
            return
        # The connection comes first: the thread that holds the lock never waits for one that others hold.
        with self._connect() as connection, self._writing:
            rows = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if rows:
                names = ("run_id", "event", "timestamp", "step_key")
                connection.execute(_INSERT, {name: [row[name] for row in rows] for name in names})

    def close(self) -> None:
        """Write the lines that wait, and stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush_late()

    def _flush_late(self) -> None:
        self._timer = None  # first: a line that comes from now on starts the next
        try:
            self.flush()
        except Exception as error:
            self._on_error(error)
