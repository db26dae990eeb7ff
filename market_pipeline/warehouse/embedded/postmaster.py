"""The server's process: finding the one that serves a cluster, probing it, stopping it.

A process is the cluster's only if its own command line says so. A pid file alone proves nothing: after a crash the
system may give the same pid to any process, and no other process is ever signalled.
"""

import signal
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from market_pipeline.core.sockets import LOOPBACK
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError

PID_FILE = "postmaster.pid"

# The request for TLS: the shortest message that every PostgreSQL answers, before any password and with all connections
# in use. https://www.postgresql.org/docs/18/protocol-message-formats.html, SSLRequest
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

_PATIENCE = 60.0
"""Seconds that a server may take to recover from a crash or to shut down."""


@dataclass(frozen=True)
class Postmaster:
    """A live server process of a cluster; `ready` is its own status."""

    process: psutil.Process
    port: int
    ready: bool

    @property
    def answers(self) -> bool:
        """True if it takes connections now."""
        if not self.ready:
            return False
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(_SSL_REQUEST)
                return connection.recv(1) in (b"N", b"S")
        except OSError:
            return False


def find(cluster: Path) -> Postmaster | None:
    """Return the live server of `cluster`, whether starting, ready or stopping; None if there is none.

    Source: https://www.postgresql.org/docs/18/storage-file-layout.html, postmaster.pid: pid, data folder, start time,
    port, socket folder, address, shared memory, status, a line each.
    """
    try:
        lines = (cluster / PID_FILE).read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        command = process.cmdline()  # of a zombie there is none
    except (FileNotFoundError, ValueError, IndexError, OverflowError, psutil.Error):
        return None
    if len(command) < 3 or Path(command[0]).stem != "postgres" or command[1:3] != ["-D", str(cluster)]:
        return None
    ready = len(lines) >= 8 and lines[7].strip() == "ready"
    return Postmaster(process, int(lines[3]) if ready else 0, ready)


def wait_until_settled(cluster: Path, log: Path) -> Postmaster | None:
    """Return the result of `find` once the server has finished starting or stopping.

    Raises:
        EmbeddedServerError: it has not, within a minute.
    """
    deadline = time.monotonic() + _PATIENCE
    while (found := find(cluster)) and not found.answers:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"the embedded PostgreSQL (pid {found.process.pid}) runs but does not respond; see {log}, "
                "then run `market-pipeline db stop` and start it again."
            )
        time.sleep(0.05)
    return found


def stop(cluster: Path, log: Path) -> bool:
    """Shut the cluster's server down, ending its clients' connections, and wait for its end.

    Returns:
        True if one was running.

    Raises:
        EmbeddedServerError: it still runs after a minute.
    """
    found = find(cluster)
    if found is None:
        return False
    found.process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
    deadline = time.monotonic() + _PATIENCE
    while not _has_ended(found.process):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"the embedded PostgreSQL (pid {found.process.pid}) has not stopped within {_PATIENCE:.0f} s; "
                f"see {log}, then run `market-pipeline db stop` again."
            )
        time.sleep(0.02)
    return True


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
