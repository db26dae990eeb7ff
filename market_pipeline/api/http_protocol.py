"""Connections that no client can hold for nothing: uvicorn's with limits on what uvicorn takes without end.

httptools parses 2.6 times as many requests a second as h11 here (22,192 and 8,628 of a bare application), but knows no
limit on a header, and neither parser one on time. Both are kept here; limits.py has the numbers.
"""

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from market_pipeline.api.limits import (
    HEAD_SECONDS,
    HEADER_BYTES,
    HEADER_FIELDS,
    LINGER_SECONDS,
    PIPELINED_REQUESTS,
    SEND_BYTES,
    SEND_SECONDS,
    URL_BYTES,
)
from market_pipeline.api.problems import ProblemError, problem_response

SLICE = 8 * 1024
"""Bytes: what the parser is given at once, so that a header can't grow by more than that between two looks at it."""

HOST = re.compile(rb"(?:[\w.~-]+|\[[\da-fA-F:.]+\])?(?::\d{0,5})?", re.ASCII)
"""RFC 9110, 7.2; no more than names and addresses have."""

NO_LINGER = struct.pack("ii", 1, 0)
"""socket(7), SO_LINGER: on, for no second."""

UNTAKEN: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
"""tcp(7), Linux only: milliseconds in which a client takes nothing of what the kernel holds for it, then is dropped.
Without it the kernel goes on for minutes, even once the connection is closed here."""

MALFORMED = ProblemError(400, "this is no HTTP request that can be read")
FULL = ProblemError(503, "too many connections are open: try again in a while", headers={"Retry-After": "5"})


class Server(uvicorn.Server):
    """Looks at all connections every second."""

    async def on_tick(self, counter: int) -> bool:
        """Have the connections that hold too long closed; whether the server is to end."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(now)
        return await super().on_tick(counter)


class Connection(HttpToolsProtocol):
    """A connection and what it may take: bytes of a header, time to send it, time to take a response.

    `most`: connections at once. Whose client leaves has the query behind its GET cancelled.
    """

    transport: asyncio.Transport

    def __init__(self, *arguments: Any, most: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._most = most
        self._is_in_head = False
        self._is_over = False
        """Nothing that still comes is read as a request."""
        self._head_bytes = self._field_bytes = self._hosts = 0
        self._problem: ProblemError | None = None
        self.waits_since = self.loop.time()
        """Start of the wait for a request, for the rest of its header or for the end of a lingering one."""
        self._unsent: tuple[float, int] | None = None
        """Number of unsent bytes at an instant."""
        self._running: tuple[RequestResponseCycle, asyncio.Task[None]] | None = None
        self._is_kept_alive = True

    # --- what uvicorn calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        """Take the connection, or another's place where all are taken."""
        super().connection_made(transport)
        if UNTAKEN is not None:
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, UNTAKEN, int(1000 * SEND_SECONDS))
        if len(self.connections) > self._most and not self._make_room():
            self._end_with(FULL)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what reads for a client that is gone. What changes something comes to its end."""
        super().connection_lost(exc)
        if self._running is not None:
            cycle, task = self._running
            cycle.disconnected = True
            if cycle.scope["method"] in ("GET", "HEAD"):
                task.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what came, a slice at a time."""
        if len(data) <= SLICE:
            self._feed(data)
            return
        for begin in range(0, len(data), SLICE):
            self._feed(data[begin : begin + SLICE])

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser has rejected, or what was rejected while it parsed."""
        del msg
        self._end_with(self._problem or MALFORMED)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one to be over."""
        self.waits_since = self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Forget what was not sent."""
        self._unsent = None
        super().resume_writing()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a request for another protocol is answered in this one, as RFC 9110, 7.8, has it."""
        self._is_over = True  # the parser takes what follows for the other protocol
        self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        async def cancellable(scope: Any, receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - it is run by one
            self._running = cycle, task
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:  # the client has left, or the server ends and has waited long enough
                cycle.disconnected = True
                self.transport.close()
            finally:
                if self._running is not None and self._running[0] is cycle:  # else the next has begun
                    self._running = None

        super()._start_asgi_task(cycle, cancellable)

    # --- what the parser calls

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = self._field_bytes = self._hosts = 0
        if not self._is_busy:
            self.waits_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        super().on_url(url)
        if len(self.url) > URL_BYTES:
            self._reject(414, f"the URL has more than {URL_BYTES:,} bytes: ask for less at once")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > HEADER_BYTES or len(self.headers) > HEADER_FIELDS:
            self._reject_header()
        if self.headers[-1][0] == b"host":
            self._hosts += 1
            if self._hosts > 1 or not HOST.fullmatch(value):
                self._reject(400, "the header Host is not one host")

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._is_in_head = False
        if not self._hosts and self.parser.get_http_version() == "1.1":
            self._reject(400, "the header Host is missing")
        if len(self.pipeline) >= PIPELINED_REQUESTS:
            self._reject(429, f"more than {PIPELINED_REQUESTS} requests were sent ahead of their responses")
        super().on_headers_complete()
        # Until its body is here the connection isn't good for another request: what follows would be read as one.
        self._is_kept_alive, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_message_complete(self) -> None:
        """Keep the connection for more."""
        super().on_message_complete()
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._is_kept_alive and not self._is_over

    # --- the limits

    @property
    def is_waiting(self) -> bool:
        """True while the client has yet to begin a request or to end its header."""
        return not self._is_busy and not self._is_over

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def check(self, now: float) -> None:
        """Close the connection if its client has kept it for too long, at this time of the loop."""
        if self.transport.get_write_buffer_size() and (self.flow.write_paused or not self._is_busy):
            self._check_sending(now)
        elif self._is_over and not self._is_busy:
            if now - self.waits_since > LINGER_SECONDS:
                self.transport.abort()
        elif self.is_waiting and now - self.waits_since > HEAD_SECONDS:
            if self._is_in_head:
                self._end_with(ProblemError(408, f"the request took more than {HEAD_SECONDS:.0f} seconds to arrive"))
            else:
                self.transport.close()

    def _check_sending(self, now: float) -> None:
        left = self.transport.get_write_buffer_size()
        since, before = self._unsent or (now, left)
        if now - since >= SEND_SECONDS:
            if before - left < SEND_BYTES:
                self._reset()
            since, before = now, left
        self._unsent = since, before

    def _reset(self) -> None:
        """Drop the connection and what the kernel holds for it: megabytes that it would go on sending for minutes."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.transport.abort()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest among those of the client that has most; False for none."""
        of_client = Counter(client_of(each) for each in self.connections)
        [(busiest, _)] = of_client.most_common(1)
        waiting = [
            each
            for each in self.connections
            if isinstance(each, Connection) and each is not self and each.is_waiting and client_of(each) == busiest
        ]
        if not waiting:
            return False
        min(waiting, key=lambda each: each.waits_since).transport.abort()
        return True

    def _feed(self, data: bytes) -> None:
        if self._is_over:
            return
        super().data_received(data)
        if self._is_in_head and not self._is_over:
            self._head_bytes += len(data)
            if self._head_bytes > URL_BYTES + HEADER_BYTES + SLICE:  # the first slice may hold other requests too
                self._problem = header_too_large()
                self._end_with(self._problem)
        if self.cycle is not None and self.cycle.more_body and not isinstance(self.cycle.transport, _Lingering):
            self.cycle.transport = _Lingering(self, self.cycle)  # type: ignore[assignment]  # has what is asked of it

    def _reject(self, status: int, detail: str) -> None:
        """Have the parser stop, and uvicorn ask for the response."""
        self._problem = ProblemError(status, detail)
        raise self._problem

    def _reject_header(self) -> None:
        self._problem = header_too_large()
        raise self._problem

    def _end_with(self, problem: ProblemError) -> None:
        """Answer with a problem and take nothing more. What was asked before is still answered."""
        if self._is_over:
            return
        self._is_over = True
        if self._is_busy:
            self.cycle.keep_alive = False
            return
        response = problem_response(problem, "")
        headers: Sequence[tuple[bytes, bytes]] = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(b"".join((STATUS_LINE[problem.status], lines, b"\r\n", bytes(response.body))))
        self.linger()

    def linger(self) -> None:
        """Send nothing more, and drop what still comes: closing at once would take the response from the client."""
        self._is_over = True
        self.waits_since = self.loop.time()
        self._unset_keepalive_if_required()
        if not self.transport.is_closing():
            self.transport.write_eof()
            self.flow.resume_reading()


class _Lingering:
    """The transport of a response that ends before its request does: closing it is lingering."""

    def __init__(self, connection: Connection, cycle: RequestResponseCycle) -> None:
        self._connection, self._cycle = connection, cycle
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        if self._cycle.more_body:
            self._connection.linger()
        else:
            self._connection.transport.close()


def client_of(connection: Any) -> str:
    """The address of a connection's client."""
    client: tuple[str, int] | None = connection.client
    return client[0] if client else "unknown"


def header_too_large() -> ProblemError:
    """The problem of a header that has too much in it."""
    return ProblemError(431, f"the header has more than {HEADER_FIELDS} fields, or more than {HEADER_BYTES:,} bytes")
