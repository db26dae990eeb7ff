"""Database of `market-pipeline up`: restarts the embedded server if it ends, and lets one `up` use the database.

An advisory lock on a connection of its own keeps other `up`s out, on any machine. PostgreSQL frees it when the
connection ends; the connection's application_name identifies the holder.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError
from market_pipeline.warehouse.locks import AdvisoryLock

SERVER_EVERY, LOCK_EVERY = 1.0, 5.0
"""Seconds between two checks of the server, and of the lock."""
ENDING_SECONDS = 3.0
"""Seconds for which the lock of an `up` that has just ended may still be held."""


_TRY = text("SELECT pg_try_advisory_lock(:key)")
# With these the server notices within a minute that a machine is gone; with its defaults it takes two hours.
_NAME = text("""
    SELECT set_config('application_name', :name, false), set_config('tcp_keepalives_idle', '30', false),
        set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false),
        set_config('idle_session_timeout', '0', false)
""")
_HOLDER = text("""
    SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objid = :key AND classid = 0 AND objsubid = 1
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_HOLDER_NAME = re.compile(r"up (\S+) (\d+) (\d{8}T\d{4})Z")


class AnotherUpError(MarketPipelineError):
    """Another `market-pipeline up` uses the database; the message names its machine and process."""


class MovedServerError(MarketPipelineError):
    """The embedded server runs again, but not on the port that the services were started with."""


@contextmanager
def open_up_database(settings: Settings, write: Callable[[str], None]) -> Iterator["UpDatabase"]:
    """Open the warehouse for one `up` alone. The embedded server is stopped on leaving, unless it ran before.

    Raises:
        AnotherUpError: another one uses it.
        EmbeddedServerError: the embedded server can't be started.
        DatabaseUnavailableError: it can't be reached.
        SchemaError: it has an older or newer schema.
    """
    data_dir = settings.market_pipeline_data_dir
    ours = settings.database_url is None and embedded.find_running_server(data_dir) is None
    if ours:
        write(f"starting the embedded PostgreSQL in {data_dir}")
    try:
        with warehouse_of(settings) as warehouse:
            database = UpDatabase(settings, warehouse, write)
            database.take_lock()
            try:
                yield database
            finally:
                database.free_lock()
    finally:
        if ours and embedded.stop(data_dir):
            write("the embedded PostgreSQL has stopped; its data stays")


class UpDatabase:
    """The warehouse, its embedded server where it has one, and the lock of this `up`. Used from one thread."""

    def __init__(self, settings: Settings, warehouse: Engine, write: Callable[[str], None]) -> None:
        self.warehouse = warehouse
        self._write = write
        self._data_dir = settings.market_pipeline_data_dir if settings.database_url is None else None
        self._name = f"up {socket.gethostname()[:36]} {os.getpid()} {datetime.now(UTC):%Y%m%dT%H%MZ}"
        self._lock: Connection | None = None
        self._problem: str | None = None
        self._due = {self._watch_server: 0.0, self._watch_lock: 0.0}

    def watch(self) -> None:
        """Restart the embedded server if it has ended, and keep the lock. To be called several times a second.

        Raises:
            AnotherUpError: another `up` took the lock after this one had lost it.
            MovedServerError: the server had to take another port.
        """
        for check, seconds in ((self._watch_server, SERVER_EVERY), (self._watch_lock, LOCK_EVERY)):
            if time.monotonic() >= self._due[check]:
                check()
                self._due[check] = time.monotonic() + seconds

    def take_lock(self) -> None:
        """Take the lock, so that no other `up` uses the database.

        Raises:
            AnotherUpError: another one holds it.
        """
        deadline = time.monotonic() + ENDING_SECONDS
        while not self._try_lock():
            if time.monotonic() > deadline:
                raise AnotherUpError(
                    f"another `market-pipeline up` uses this database: {self._describe_holder()}. Stop that one, or "
                    "set DATABASE_URL to another database"
                )
            time.sleep(0.1)

    def free_lock(self) -> None:
        """Free the lock for another `up`."""
        if self._lock is not None:
            with suppress(DBAPIError):
                self._lock.invalidate()  # the lock ends with the session
            self._lock.close()
            self._lock = None

    def _try_lock(self) -> bool:
        self._lock = self.warehouse.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._lock.execute(_NAME, {"name": self._name})
        taken = bool(self._lock.scalar(_TRY, {"key": AdvisoryLock.UP}))
        if not taken:
            self.free_lock()
        return taken

    def _describe_holder(self) -> str:
        with self.warehouse.connect() as connection:
            name = connection.scalar(_HOLDER, {"key": AdvisoryLock.UP}) or ""
        found = _HOLDER_NAME.fullmatch(name)
        if found is None:
            return "its connection holds an advisory lock (see pg_stat_activity)"
        since = datetime.strptime(found[3], "%Y%m%dT%H%M").replace(tzinfo=UTC)
        return f"on {found[1]}, process {found[2]}, since {since:%Y-%m-%d %H:%M} UTC"

    def _watch_lock(self) -> None:
        try:
            if self._lock is not None:
                self._lock.scalar(text("SELECT 1"))
                return
        except DBAPIError:
            self.free_lock()
        with suppress(DBAPIError):  # nothing can take it while the server is unreachable
            self.take_lock()

    def _watch_server(self) -> None:
        if self._data_dir is None:
            return
        began = time.monotonic()
        try:
            if embedded.find_running_server(self._data_dir) is not None:
                return
            server = embedded.ensure_running(self._data_dir)
        except EmbeddedServerError as error:
            if str(error) != self._problem:
                self._write(f"{error} It is tried again every few seconds")
            self._problem = str(error)
            return
        self._problem = None
        self._write(
            f"the embedded PostgreSQL had ended; it runs again, {time.monotonic() - began:.1f} s after that was noticed"
        )
        if server.port != self.warehouse.url.port:
            raise MovedServerError(
                f"the embedded PostgreSQL had to move from port {self.warehouse.url.port} to {server.port}: start "
                "`market-pipeline up` again"
            )
