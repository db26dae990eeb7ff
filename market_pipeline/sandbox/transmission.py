"""From an answer to bytes on the wire: compressed, labelled, and whole; or, where a fault asks for it, not whole.

Source: headers as recorded from the vendor. Those beginning with X-Sandbox and X-Market-Pipeline are the sandbox's own.
"""

import asyncio
import gzip
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from market_pipeline.sandbox.encoding import to_json
from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.request import ApiRequest

SANDBOX_HEADER = (b"x-market-pipeline-sandbox", b"1")
"""On each of the sandbox's answers, errors included, so that nobody takes it for the vendor."""

DATA_HEADER = "X-Sandbox-Data"
FASTEST = 1


def whole(answer: EndpointResponse, call: ApiRequest, content: bytes | None = None) -> Response:
    """The answer as the vendor sends it.

    Args:
        answer: what to send.
        call: what it answers.
        content: sent instead of the answer's own body.
    """
    headers = {"Vary": "Accept-Encoding", "X-Request-Id": call.request_id, **answer.headers}
    if answer.data is not None:
        headers[DATA_HEADER] = answer.data
    body = written(answer) if content is None else content
    if call.accepts_gzip and body:
        body = gzip.compress(body, FASTEST, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, answer.status, headers, answer.media_type)


def written(answer: EndpointResponse) -> bytes:
    """The answer's body, not compressed."""
    return (answer.body if isinstance(answer.body, str) else to_json(answer.body)).encode()


class Broken(Response):
    """A response that doesn't arrive as it should. What it sends before that is `response`'s."""

    def __init__(self, response: Response, argument: float) -> None:
        super().__init__(response.body, response.status_code)
        self.raw_headers = response.raw_headers
        self.argument = argument


class Late(Broken):
    """Waits `argument` seconds before the first byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        try:
            await asyncio.wait_for(disconnected(receive), self.argument)
        except TimeoutError:  # the client is still there
            await super().__call__(scope, receive, send)


class CutShort(Broken):
    """Announces the full length, sends the share `argument` of the body, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        sent = bytes(self.body)[: int(len(self.body) * self.argument)]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": sent, "more_body": True})
        connection(scope).close()
        await disconnected(receive)


class Reset(Broken):
    """Resets the connection without an answer."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Answer an ASGI request."""
        transport = connection(scope)
        # Closing at once, without lingering over unsent data, is what makes the kernel send a reset.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await disconnected(receive)


class Silent(Broken):
    """Never answers."""

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        """Answer an ASGI request."""
        await disconnected(receive)


def connection(scope: Scope) -> asyncio.Transport:
    """The connection a request came by; `server` puts it there."""
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport


async def disconnected(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
