"""Responses to queries: a page of rows in a format, or a file of all rows.

A page has a link to the next one. Up to MAX_COMPLETE_ROWS rows are one complete response, with an ETag; more are
streamed. Both show one state of the database.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from xxhash import xxh3_128_hexdigest

from market_pipeline.api.context import Context
from market_pipeline.api.generated.byte_ranges import hold_file, is_by_parts, respond_with_part
from market_pipeline.api.generated.copied_rows import copy_csv
from market_pipeline.api.generated.envelopes import Envelope, build_table_envelope
from market_pipeline.api.generated.formats import MEDIA_TYPES, ResponseFormat, open_writer
from market_pipeline.api.generated.negotiation import read_header
from market_pipeline.api.generated.next_page import build_next_url, find_next_url
from market_pipeline.api.generated.query_sql import Query
from market_pipeline.api.generated.reader import QueryTimeoutError, Reader
from market_pipeline.api.generated.streaming import stream_rows
from market_pipeline.warehouse.loads import describe_point

Headers = Sequence[tuple[bytes, bytes]]
Complete = tuple[bytes, int, str | None, datetime]
"""A body, its number of rows, the URL of the next page and the rows' point."""

MAX_COMPLETE_ROWS = 10_000
"""The most rows of a response that is built before it is sent, where the endpoint has no limit of its own."""

# Without a charset many clients read text as Latin-1.
HEADERS: Mapping[ResponseFormat, Headers] = {
    kind: [
        (b"content-type", (media_type + ("; charset=utf-8" if kind is ResponseFormat.CSV else "")).encode()),
        (b"cache-control", b"no-cache"),
        (b"vary", b"Accept"),
    ]
    for kind, media_type in MEDIA_TYPES.items()
}
"""Headers of every response, encoded once: encoding them takes as long as the rest of a small response."""


class NoRowsError(Exception):
    """The query has no rows."""


async def respond(
    request: Request,
    context: Context,
    query: Query,
    kind: ResponseFormat,
    envelope: Envelope = build_table_envelope,
    headers: Headers = (),
    *,
    needs_rows: bool = False,
    most_complete: int = MAX_COMPLETE_ROWS,
) -> Response:
    """Return a query's rows in a format, with `headers` in addition to those of every response.

    JSON is a page; a file has all rows, or those of a page if the request is limited. Up to `most_complete` rows are
    built before they are sent. HEAD and Range are for a file that is kept, unless it is too large.

    Raises:
        ProblemError: the database can't be reached.
        NoRowsError: a complete response would have no rows although it `needs_rows`.
    """
    known_tags = read_header(request, b"if-none-match")
    build = partial(
        _build_response, request, context, query, kind, envelope, needs_rows=needs_rows, most_complete=most_complete
    )
    if kind is ResponseFormat.JSON or not is_by_parts(request):
        return await build(headers=headers, known_tags=known_tags)
    kept = await hold_file(request, context.files, partial(build, headers=headers, known_tags=""))
    if kept is None:
        return await build(headers=[*headers, (b"accept-ranges", b"none")], known_tags=known_tags)
    if _is_known(kept.tag, known_tags):
        return BytesResponse(304, [*kept.headers, (b"etag", kept.tag.encode())], b"")
    return respond_with_part(request, kept)


def _is_known(tag: str, known_tags: str) -> bool:
    return bool(known_tags) and (tag in known_tags or known_tags.strip() == "*")


async def _build_response(
    request: Request,
    context: Context,
    query: Query,
    kind: ResponseFormat,
    envelope: Envelope,
    *,
    headers: Headers,
    known_tags: str,
    needs_rows: bool,
    most_complete: int,
) -> Response:
    """Return the response with all that is requested, complete or streamed; 304 if its tag is known."""
    most = query.limit if query.is_limited or kind is ResponseFormat.JSON else None
    complete = None
    if most is None or most <= most_complete:
        limit = most_complete if most is None else most
        complete = await _build_complete(request, context.reader, query, kind, envelope, limit)
    if complete is None:
        response, following, point = await stream_rows(request, context, query, kind, envelope, most)
        response.raw_headers = _build_headers(kind, following, query.as_of or point, headers)
        return response
    body, count, following, point = complete
    if needs_rows and not count:
        raise NoRowsError
    all_headers = _build_headers(kind, following, query.as_of or point, headers)
    # Hashing is as fast as reading the body. The ETag is weak, since gzip changes the bytes and keeps the tag.
    tag = f'"{xxh3_128_hexdigest(body)}"'
    all_headers.append((b"etag", f"W/{tag}".encode()))
    if _is_known(tag, known_tags):
        return BytesResponse(304, all_headers, b"")
    all_headers.append((b"content-length", b"%d" % len(body)))
    return BytesResponse(200, all_headers, body)


async def _build_complete(
    request: Request, reader: Reader, query: Query, kind: ResponseFormat, envelope: Envelope, most: int
) -> Complete | None:
    """Return the first rows, at most `most`; None if a file would have more, or takes too long."""
    if kind is ResponseFormat.JSON:
        return await _build_json(request, reader, query, envelope)
    if query.is_limited:
        return await _build_file(request, reader, query, kind, most)
    try:
        complete = await _build_file(request, reader, query, kind, most)
    except QueryTimeoutError:
        return None  # a download has more time
    return complete if complete[1] <= most else None


async def _build_json(request: Request, reader: Reader, query: Query, envelope: Envelope) -> Complete:
    """Build a page by one statement."""
    statement, values = query.json_statement
    rows, count, last_key, point = await reader.row(statement, values, by_key=query.by_key)
    truncated = count > query.limit
    following = build_next_url(request, query, last_key) if truncated and query.can_be_continued else None
    before, after = envelope(min(count, query.limit), truncated, f'"{following}"' if following else "null")
    return b"".join((before, (rows or "").encode(), after)), count, following, point


async def _build_file(request: Request, reader: Reader, query: Query, kind: ResponseFormat, most: int) -> Complete:
    """Build a file of the first rows; their number is one more than `most` if there are more."""
    writer = open_writer(kind, query.columns)
    parts = [writer.begin()]
    count = 0
    following = None
    async with reader.snapshot(long=False) as snapshot:
        connection = snapshot.connection
        # One row more is read: only if it exists, the next page's key is looked up.
        async with aclosing(copy_csv(connection, query, kind, most + 1)) as blocks:
            async for lines in blocks:
                count += len(lines)
                parts.append(writer.block(lines[: len(lines) - max(0, count - most)]))
        if count > most and query.is_limited:
            following = await find_next_url(request, connection, query)
    return b"".join([*parts, writer.end()]), count, following, snapshot.point


def _build_headers(
    kind: ResponseFormat, following: str | None, point: datetime, headers: Headers
) -> list[tuple[bytes, bytes]]:
    link = [(b"link", f'<{following}>; rel="next"'.encode())] if following else []
    return [*HEADERS[kind], (b"x-as-of", describe_point(point).encode()), *link, *headers]


class BytesResponse(Response):
    """A response of bytes. Encoding headers in Starlette's own takes as long as the rest of a small response."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code, self.raw_headers, self.body, self.background = status, headers, body, None
