"""Receivers of alerts for tests: a webhook and a mail server, real ones on loopback."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

TOKEN = "a-token-in-the-path"
PASSWORD = "hunter2 of the mail"


@dataclass
class Receiver:
    """A webhook: the bodies that it got, and the statuses of its responses, in order; the last one repeats."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def record(self, body: bytes, key: str) -> int:
        self.bodies.append(json.loads(body))
        self.keys.append(key)
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        assert self.headers["Content-Type"] == "application/json"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(receiver.record(body, self.headers["Idempotency-Key"]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Run a webhook with a secret in its path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/services/{TOKEN}")
    server.receiver = receiver  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """A mail server: the mails that it got, and if their connections were encrypted."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    receivers: list[list[str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    rejects: bool = False
    responds_to_quit: bool = True

    async def handle_QUIT(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if not self.responds_to_quit:
            await asyncio.sleep(3600)  # until the client has gone
        return "221 bye"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.rejects:
            return "550 not here"
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.receivers.append(list(envelope.rcpt_tos))
        self.encrypted.append(session.ssl is not None)
        return "250 taken"

    def authenticate(self, *arguments: Any) -> AuthResult:
        login = arguments[-1]
        known = isinstance(login, LoginPassword) and (login.login, login.password) == (b"robot", PASSWORD.encode())
        return AuthResult(success=known, handled=False)


class _Controller(Controller):
    """A controller that listens on the port that the system chose."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def running_mail_server(tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """Run a mail server that knows the user robot; with a context it offers STARTTLS."""
    mailbox = Mailbox()
    controller = _Controller(
        mailbox, hostname="127.0.0.1", port=0, tls_context=tls, authenticator=mailbox.authenticate,
        auth_require_tls=False,
    )  # fmt: skip
    controller.start()
    try:
        mailbox.port = controller.port
        yield mailbox
    finally:
        controller.stop()
