"""A real HTTP server on loopback that sends scripted replies in order and records its requests.

For precise cases: the effect of one unusual response on the client. The sandbox has longer exchanges.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One reply. `cut_after` closes the connection after that many bytes of a body announced as longer."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    drip_seconds: float | None = None
    chunked: bool = False

    @property
    def wire(self) -> bytes:
        """Return the body as it is sent."""
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        if not self.chunked:
            return content
        pieces = [content[start : start + 50] for start in range(0, len(content), 50)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])

    @property
    def framing(self) -> dict[str, str]:
        """Return the header that marks the end of the body."""
        return {"Transfer-Encoding": "chunked"} if self.chunked else {"Content-Length": str(len(self.wire))}


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as received."""

    path: str
    headers: dict[str, str]


@dataclass
class ScriptedVendor:
    """The server: its URL, the remaining replies, the choice of a reply by the path, and the requests so far."""

    base_url: str
    replies: list[Reply]
    choose: Callable[[str], Reply] | None = None
    requests: list[ReceivedRequest] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@contextmanager
def scripted_vendor(*replies: Reply, choose: Callable[[str], Reply] | None = None) -> Iterator[ScriptedVendor]:
    """Run a server that sends these replies in order, and after them the chosen ones, or 418."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    vendor = ScriptedVendor(f"http://127.0.0.1:{server.server_address[1]}", list(replies), choose)
    server.vendor = vendor  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield vendor
    finally:
        vendor.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        vendor: ScriptedVendor = self.server.vendor  # type: ignore[attr-defined]
        vendor.requests.append(ReceivedRequest(self.path, dict(self.headers)))
        chosen = vendor.choose(self.path) if vendor.choose else Reply(b"no reply is left", 418)
        reply = vendor.replies.pop(0) if vendor.replies else chosen
        self.send_response(reply.status)
        for name, value in {**reply.framing, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self._send_body(reply, vendor)

    def _send_body(self, reply: Reply, vendor: ScriptedVendor) -> None:
        if reply.drip_seconds is not None:
            for byte in reply.wire:
                if vendor.over.wait(reply.drip_seconds):
                    break
                self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(reply.wire[: reply.cut_after])
        self.close_connection = reply.cut_after is not None or reply.drip_seconds is not None

    def log_message(self, *_: object) -> None:
        """Log nothing."""
