"""Servers whose responses never end: they send single bytes slowly, or bytes without limit, until the client closes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, repeat
from socketserver import BaseRequestHandler, ThreadingTCPServer

DRIP_SECONDS = 0.02
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@dataclass
class SlowServer:
    """A server: its port, and the first bytes of each request."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Pieces = Callable[[], Iterator[bytes]]


def dripping(at_once: bytes = b"", then: bytes = b"x") -> Pieces:
    """Send some bytes at once, then others one by one, repeatedly."""
    return lambda: chain([at_once], (bytes([byte]) for byte in chain.from_iterable(repeat(then))))


def flooding(at_once: bytes, then: bytes) -> Pieces:
    """Send some bytes, then others repeatedly, as fast as the client reads."""
    return lambda: chain([at_once], repeat(then))


@contextmanager
def slow_server(pieces: Pieces, *, waits_for_request: bool = True) -> Iterator[SlowServer]:
    """Run a server on loopback that sends these pieces to each client; single bytes are sent slowly."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            if waits_for_request:
                running.requests.append(self.request.recv(65_536))
            with suppress(OSError):
                for piece in pieces():
                    if running.over.wait(DRIP_SECONDS if len(piece) == 1 else 0):
                        break
                    self.request.sendall(piece)
                    running.sent += len(piece)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running = SlowServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.over.set()
            server.shutdown()
            thread.join()
