"""Compression by gzip, for clients that accept it."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

SMALL = 1_000
"""Bytes: a shorter response is not compressed."""

LEVEL = 4
"""Of 9. A higher level costs much time and saves little."""


class CompressionMiddleware:
    """Uses Starlette's middleware only if the client accepts gzip, since it costs time for other clients too."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._zipped = GZipMiddleware(app, minimum_size=SMALL, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        is_accepted = is_part = False
        for name, value in scope.get("headers", ()):
            if name == b"accept-encoding" and b"gzip" in value:
                is_accepted = True
            elif name == b"range":
                is_part = True
        zipped = is_accepted and not is_part and scope["method"] != "HEAD"  # a part is of the bytes before compression
        await (self._zipped if zipped else self._plain)(scope, receive, send)
