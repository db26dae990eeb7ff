"""Streamed responses: rows in parts, in memory that doesn't grow with their number."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from datetime import datetime

from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from market_pipeline.api.context import Context
from market_pipeline.api.generated.copied_rows import copy_csv, copy_json
from market_pipeline.api.generated.envelopes import Envelope
from market_pipeline.api.generated.formats import ResponseFormat, open_writer
from market_pipeline.api.generated.next_page import find_next_url
from market_pipeline.api.generated.query_sql import Query


async def stream_rows(
    request: Request, context: Context, query: Query, kind: ResponseFormat, envelope: Envelope, most: int | None
) -> tuple[Response, str | None, datetime]:
    """Start to stream a query's first rows, `most` of them or all.

    Returns the response without headers, the next page's URL, and the rows' point. The first part is awaited here, so
    that an error up to then is still sent as a problem.

    Raises:
        ProblemError: the database can't be reached, or no download slot is free.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(context.downloads.acquire(request.scope["client"][0]))
        snapshot = await stack.enter_async_context(context.reader.snapshot(long=True))
        connection = snapshot.connection
        following = None if most is None else await find_next_url(request, connection, query)
        if kind is ResponseFormat.JSON:
            parts = _encode_json(connection, query, following, envelope)
        else:
            parts = _encode_file(connection, query, kind, most)
        await stack.enter_async_context(aclosing(parts))
        first = await anext(parts)
        return StreamedResponse(first, parts, stack.pop_all()), following, snapshot.point


class StreamedResponse(StreamingResponse):
    """A response in parts that releases its connection and its download slot when it ends, even by an error.

    If the client leaves, `http_protocol` cancels the task, so the response needn't listen for that.
    """

    def __init__(self, first: bytes, parts: AsyncIterator[bytes], resources: AsyncExitStack) -> None:
        async def all_parts() -> AsyncIterator[bytes]:
            yield first
            async for part in parts:
                yield part

        super().__init__(all_parts())
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts; for HEAD only the headers."""
        del receive
        async with self._resources:
            if scope["method"] == "HEAD":
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await send({"type": "http.response.body"})
            else:
                await self.stream_response(send)


async def _encode_json(
    connection: AsyncConnection, query: Query, following: str | None, envelope: Envelope
) -> AsyncGenerator[bytes]:
    before, _ = envelope(0, False, "null")
    count = 0
    yield before
    async with aclosing(copy_json(connection, query)) as blocks:
        async for objects in blocks:
            yield (b"," if count else b"") + b",".join(objects)
            count += len(objects)
    yield envelope(count, following is not None, f'"{following}"' if following else "null")[1]


async def _encode_file(
    connection: AsyncConnection, query: Query, kind: ResponseFormat, most: int | None
) -> AsyncGenerator[bytes]:
    writer = open_writer(kind, query.columns)
    begin = writer.begin()  # sent with the first rows, so that an error of the query is still a problem
    async with aclosing(copy_csv(connection, query, kind, most)) as blocks:
        async for lines in blocks:
            if part := begin + writer.block(lines):
                yield part
            begin = b""
    yield begin + writer.end()
