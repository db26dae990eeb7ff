"""Connections to mail servers, with a deadline and a limit on the size of the server's replies."""

import smtplib
from typing import IO

from market_pipeline.core.deadlines import watch_socket

MOST_BYTES = 65_536
"""Limit on the bytes that a mail server sends in one connection."""


class _Replies:
    """Replies of a mail server up to a number of bytes: a reply may have any number of lines."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MOST_BYTES

    def readline(self, size: int) -> bytes:
        line = self._stream.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(f"the mail server sent more than {MOST_BYTES:,} bytes")
        return line

    def close(self) -> None:
        self._stream.close()


class MailServer(smtplib.SMTP):
    """A connection to a mail server, watched while it waits for a reply."""

    def getreply(self) -> tuple[int, bytes]:
        """Wait for a reply, as smtplib does after every command."""
        if self.sock is not None:
            watch_socket(self.sock)
            if self.file is None:
                self.file = _Replies(self.sock.makefile("rb"))
        return super().getreply()


class TlsMailServer(MailServer, smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""
