"""Transmission of responses: encoded, compressed and labelled; or interrupted, for faults of the connection.

Source: headers as recorded from the vendor. Those beginning with X-Sandbox and X-Market-Pipeline are the sandbox's own.
"""

import asyncio
import gzip
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.encoding import to_json

SANDBOX_HEADER = (b"x-market-pipeline-sandbox", b"1")
"""Header of every response of the sandbox, errors included, so that it can't be mistaken for the vendor."""

DATA_HEADER = "X-Sandbox-Data"
FASTEST = 1


def to_http_response(response: EndpointResponse, request: ApiRequest, content: bytes | None = None) -> Response:
    """Convert an endpoint's response to an HTTP response as the vendor sends it.

    Args:
        response: the endpoint's.
        request: its request.
        content: sent instead of the response's own body.
    """
    headers = {"Vary": "Accept-Encoding", "X-Request-Id": request.request_id, **response.headers}
    if response.data is not None:
        headers[DATA_HEADER] = response.data
    body = encode_body(response) if content is None else content
    if request.accepts_gzip and body and not isinstance(response.body, bytes):
        body = gzip.compress(body, FASTEST, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, response.status, headers, response.media_type)


def encode_body(response: EndpointResponse) -> bytes:
    """Encode the response's body, without compression."""
    if isinstance(response.body, bytes):
        return response.body
    return (response.body if isinstance(response.body, str) else to_json(response.body)).encode()


class BrokenResponse(Response):
    """A response whose transmission is faulty. Its content is `response`'s."""

    def __init__(self, response: Response, argument: float) -> None:
        super().__init__(response.body, response.status_code)
        self.raw_headers = response.raw_headers
        self.argument = argument


class LateResponse(BrokenResponse):
    """Waits `argument` seconds before the first byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        try:
            await asyncio.wait_for(wait_for_disconnect(receive), self.argument)
        except TimeoutError:  # the client is still there
            await super().__call__(scope, receive, send)


class CutShortResponse(BrokenResponse):
    """Announces the full length, sends the share `argument` of the body, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        sent = bytes(self.body)[: int(len(self.body) * self.argument)]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": sent, "more_body": True})
        find_connection(scope).close()
        await wait_for_disconnect(receive)


class ResetConnection(BrokenResponse):
    """Resets the connection without a response."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Handle an ASGI request."""
        transport = find_connection(scope)
        # Closing without lingering for unsent data makes the kernel send a reset.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await wait_for_disconnect(receive)


class SilentConnection(BrokenResponse):
    """Sends no response."""

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        """Handle an ASGI request."""
        await wait_for_disconnect(receive)


def find_connection(scope: Scope) -> asyncio.Transport:
    """Return a request's connection, which `loopback_server` put into its state."""
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport


async def wait_for_disconnect(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
