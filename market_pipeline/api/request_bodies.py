"""Bodies of requests, read within limits of size and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from market_pipeline.api.limits import BODY_BYTES, BODY_SECONDS
from market_pipeline.api.problems import ProblemError

TOO_LARGE = f"the body has more than {BODY_BYTES:,} bytes: send less at once"


async def load_body(request: Request) -> Request:
    """Return the same request with its whole body in memory.

    Raises:
        ProblemError: the body is too large (413), compressed (415) or late (408); the rest of it is not read.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ProblemError(415, "the body is compressed: send it uncompressed", headers={"Accept-Encoding": "identity"})
    if int(request.headers.get("content-length", 0)) > BODY_BYTES:
        raise ProblemError(413, TOO_LARGE)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read(request)
    except TimeoutError:
        raise ProblemError(408, f"the body took more than {BODY_SECONDS:.0f} seconds to arrive") from None
    except ClientDisconnect:
        raise ProblemError(400, "the body is incomplete") from None

    async def read_again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, read_again)


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise ProblemError(413, TOO_LARGE)
    return bytes(body)
