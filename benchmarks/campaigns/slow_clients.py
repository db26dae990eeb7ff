"""Slow clients of the API: they send or read a byte a second, and reconnect when disconnected."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from benchmarks.campaigns.outcomes import Kind, Outcomes

TICK = 1.0
HEAD, BODY, READER = "header at a byte a second", "body at a byte a second", "response at a byte a second"
LONGEST = {HEAD: 20.0, BODY: 20.0, READER: 75.0}
"""Seconds until the API should have ended a slow connection.

They are twice the documented limits, and for a reader also the 30 s that it may wait for its place."""


@dataclass
class _Slow:
    """One connection, since when, and the beginning of what came by it."""

    kind: str
    address: str
    connection: socket.socket
    since: float
    came: bytes = b""


class SlowClients:
    """So many connections of some kinds in one thread.

    Args:
        url: the API's.
        kinds: one for each connection.
        key: an administrator's, as a body is read only with one.
        download: path of a response of several megabytes.
        outcomes: records how each connection ended.
    """

    def __init__(self, url: str, kinds: Sequence[str], key: str, download: str, outcomes: Outcomes) -> None:
        place = urlsplit(url)
        self._place = str(place.hostname), place.port or 80
        self._kinds, self._outcomes = kinds, outcomes
        self._first = {
            HEAD: b"GET /api/v1/status HTTP/1.1\r\nHost: here\r\nX-Slow: ",
            BODY: f"POST /api/v1/admin/symbols HTTP/1.1\r\nHost: here\r\nX-API-Key: {key}\r\n"
                  "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode(),
            READER: f"GET {download} HTTP/1.1\r\nHost: here\r\n\r\n".encode(),
        }  # fmt: skip
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep them open while the block runs."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        connections = [self._open(kind, number) for number, kind in enumerate(self._kinds)]
        while not self._over.wait(TICK):
            peers = self._list_peers()
            for number, each in enumerate(connections):
                if self._has_ended(each, peers):
                    each.connection.close()
                    connections[number] = self._open(each.kind, number)
        for each in connections:
            each.connection.close()

    def _open(self, kind: str, number: int) -> _Slow:
        connection = socket.socket()
        if kind == READER:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = f"127.1.{1 + number // 250}.{1 + number % 250}"
        connection.bind((address, 0))
        connection.connect(self._place)
        connection.sendall(self._first[kind])
        connection.setblocking(False)
        return _Slow(kind, address, connection, time.monotonic())

    def _list_peers(self) -> set[tuple[str, int]]:
        """The clients that the API has a connection to. One that takes nothing isn't told that it has none."""
        port = self._place[1]
        return {
            (each.raddr.ip, each.raddr.port)
            for each in psutil.net_connections("tcp4")
            if each.laddr and each.laddr.port == port and each.raddr
        }

    def _has_ended(self, slow: _Slow, peers: set[tuple[str, int]]) -> bool:
        """Send or take a byte; True once the connection is over, and its end counted."""
        end = self._find_end(slow, peers)
        if end is not None:
            self._outcomes.add(*end)
        return end is not None

    @staticmethod
    def _find_end(slow: _Slow, peers: set[tuple[str, int]]) -> tuple[Kind, str] | None:
        if time.monotonic() - slow.since > LONGEST[slow.kind]:
            return Kind.FAULT, f"{slow.kind}: still open after {LONGEST[slow.kind]:.0f} s"
        dropped = Kind.LIMIT, f"{slow.kind}: dropped"
        if slow.kind == READER and slow.connection.getsockname() not in peers:
            return dropped
        try:
            if slow.kind != READER:
                slow.connection.send(b"a")
            came = slow.connection.recv(1 if slow.came else 12)
        except BlockingIOError:
            return None
        except OSError:
            return dropped
        slow.came += came
        if not came:
            end = dropped
        elif slow.kind == READER and slow.came.startswith(b"HTTP/1.1 200"):
            end = None
        else:
            status = int(slow.came[9:12])
            is_limit = status == (503 if slow.kind == READER else 408)
            end = (Kind.LIMIT if is_limit else Kind.FAULT), f"{slow.kind}: {status}"
        return end
