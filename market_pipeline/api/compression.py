"""Compression by gzip, for clients that accept it."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

SMALL = 1_000
"""Bytes: what is shorter goes as it is."""

LEVEL = 4
"""Of 9. More costs a lot of time and saves little."""


class Compressed:
    """Passes a request through Starlette's middleware where the client accepts gzip; it costs the others too."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._zipped = GZipMiddleware(app, minimum_size=SMALL, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        for name, value in scope.get("headers", ()):
            if name == b"accept-encoding" and b"gzip" in value:
                await self._zipped(scope, receive, send)
                return
        await self._plain(scope, receive, send)
