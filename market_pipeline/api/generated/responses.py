"""The answer to a query: its rows in one of the formats, whole or as a stream, and where the next page is.

Up to WHOLE rows are one answer with an ETag; more are streamed, in memory that doesn't grow with their number. Both are
of one state of the database. Reading requests is in parameters.py, the bytes of each format in formats.py.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from urllib.parse import quote, urlencode

from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from xxhash import xxh3_128_hexdigest

from market_pipeline.api.context import Context
from market_pipeline.api.generated.formats import MEDIA_TYPES, Format, chosen_format, copied_expressions, writer
from market_pipeline.api.generated.query_params import parameters
from market_pipeline.api.generated.query_sql import Query
from market_pipeline.api.generated.reader import Reader
from market_pipeline.api.problems import ProblemError

Headers = Sequence[tuple[bytes, bytes]]

WHOLE = 10_000
BLOCK = 5_000
"""Rows: the most of an answer that is made whole, and how many of a streamed one are held at once."""

# Without a charset, many a client takes a text for Latin-1.
HEADERS: Mapping[Format, Headers] = {
    kind: [
        (b"content-type", (media_type + ("; charset=utf-8" if kind is Format.CSV else "")).encode()),
        (b"cache-control", b"no-cache"),
        (b"vary", b"Accept"),
    ]
    for kind, media_type in MEDIA_TYPES.items()
}
"""What every answer has, as bytes: making them of texts for each would take as long as the rest of a small answer."""


class NoRowsError(Exception):
    """There is nothing to put into the envelope."""


Envelope = Callable[[int, bool, str], tuple[bytes, bytes]]
"""What stands before and behind the rows in JSON: told their number, whether there are more, and `next` as JSON."""


def table_envelope(count: int, truncated: bool, following: str) -> tuple[bytes, bytes]:
    """The envelope of a table's rows."""
    told = f'],"count":{count},"truncated":{"true" if truncated else "false"},"next":{following}}}'
    return b'{"data":[', told.encode()


def wanted_format(request: Request, named: str | None) -> Format:
    """The format that a request wants, which may name one.

    Raises:
        ProblemError: it is none of those there are.
    """
    kind = chosen_format(named, "" if named is not None else _header(request, b"accept"))
    if kind is not None:
        return kind
    if named is not None:
        raise ProblemError(400, f"format: {named!r} is not one of {', '.join(Format)}")
    raise ProblemError(406, f"none of what is accepted can be had: take one of {', '.join(MEDIA_TYPES.values())}")


def query_string(request: Request) -> str:
    """A request's parameters as they are written."""
    written: bytes = request.scope["query_string"]
    return written.decode("latin-1")


async def respond(
    request: Request,
    context: Context,
    query: Query,
    kind: Format,
    envelope: Envelope = table_envelope,
    headers: Headers = (),
    *,
    needs_rows: bool = False,
) -> Response:
    """The rows of a query in a format, with `headers` beside those that every answer has.

    Raises:
        ProblemError: the database can't be reached.
        NoRowsError: there is none, and it `needs_rows`; an answer that is streamed is one without, too.
    """
    if query.limit > WHOLE:
        return await _streamed(request, context, query, kind, envelope, headers)
    if kind is Format.JSON:
        body, count, following = await _whole_json(request, context.reader, query, envelope)
    else:
        body, count, following = await _whole_file(request, context.reader, query, kind)
    if needs_rows and not count:
        raise NoRowsError
    return _conditional(request, body, [*_headers(kind, following), *headers])


async def _whole_json(
    request: Request, reader: Reader, query: Query, envelope: Envelope
) -> tuple[bytes, int, str | None]:
    statement, values = query.json_statement
    rows, count, last = await reader.row(statement, values, by_key=query.by_key)
    truncated = count > query.limit
    following = _next_url(request, query, last) if truncated and query.can_be_continued else None
    before, behind = envelope(min(count, query.limit), truncated, f'"{following}"' if following else "null")
    return b"".join((before, (rows or "").encode(), behind)), count, following


async def _whole_file(request: Request, reader: Reader, query: Query, kind: Format) -> tuple[bytes, int, str | None]:
    made = writer(kind, query.columns)
    parts = [made.begin()]
    count = 0
    following = None
    async with reader.snapshot(long=False) as connection:
        # With the row behind the page, if there is one: only then is there a next page to be looked for.
        async with aclosing(_copied_lines(connection, replace(query, limit=query.limit + 1), kind)) as blocks:
            async for lines in blocks:
                count += len(lines)
                parts.append(made.block(lines[: len(lines) - max(0, count - query.limit)]))
        if count > query.limit:
            following = await _boundary(request, connection, query)
    return b"".join([*parts, made.end()]), count, following


async def _streamed(
    request: Request, context: Context, query: Query, kind: Format, envelope: Envelope, headers: Headers
) -> Response:
    """The rows as they come. Its first part is awaited here: what goes wrong until then is still told as a problem."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(context.downloads.place(request.scope["client"][0]))
        connection = await stack.enter_async_context(context.reader.snapshot(long=True))
        following = await _boundary(request, connection, query)
        rows = _json(connection, query, following, envelope) if kind is Format.JSON else _file(connection, query, kind)
        parts = await stack.enter_async_context(aclosing(rows))
        first = await anext(parts)
        response = _Streamed(first, parts, stack.pop_all())
    response.raw_headers = [*_headers(kind, following), *headers]
    return response


class _Streamed(StreamingResponse):
    """A response in parts. Its connection and its place are given back with its end, however that comes.

    A client that leaves cancels the task (connections.py), so that nobody need listen for that here.
    """

    def __init__(self, first: bytes, parts: AsyncIterator[bytes], held: AsyncExitStack) -> None:
        super().__init__(_behind(first, parts))
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        async with self._held:
            await self.stream_response(send)


async def _behind(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part


async def _boundary(request: Request, connection: AsyncConnection, query: Query) -> str | None:
    """Where the next page is; None where this is the last."""
    if not query.can_be_continued:
        return None
    columns = [part.column for part in query.order]
    statement, values = query.statement(columns, "OFFSET %s LIMIT 2")
    key = ", ".join(f"{column.sql}::text" for column in columns)
    edge = f"SELECT ARRAY[{key}] FROM ({statement}) AS edge"  # noqa: S608 - as above
    rows = await (await connection.execute(edge, [*values, query.limit - 1], prepare=True)).fetchall()
    return _next_url(request, query, rows[0][0]) if len(rows) == 2 else None


async def _file(connection: AsyncConnection, query: Query, kind: Format) -> AsyncGenerator[bytes]:
    made = writer(kind, query.columns)
    yield made.begin()
    async with aclosing(_copied_lines(connection, query, kind)) as blocks:
        async for lines in blocks:
            yield made.block(lines)
    yield made.end()


def _copied_lines(connection: AsyncConnection, query: Query, kind: Format) -> AsyncGenerator[list[bytes]]:
    return copied(connection, query, copied_expressions(query.columns, kind), "FORMAT csv")


async def _json(
    connection: AsyncConnection, query: Query, following: str | None, envelope: Envelope
) -> AsyncGenerator[bytes]:
    before, _ = envelope(0, False, "null")
    count = 0
    yield before
    # JSON holds these delimiters nowhere, so that a line of CSV is a row of it; one that is quoted has line feeds, as a
    # column of type json may have between its values.
    plain = r"FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02'"
    async with aclosing(copied(connection, query, "row_to_json(shown)", plain)) as blocks:
        async for lines in blocks:
            yield (b"," if count else b"") + b",".join(line.strip(b"\x01\n") for line in lines)
            count += len(lines)
    yield envelope(count, following is not None, f'"{following}"' if following else "null")[1]


async def copied(connection: AsyncConnection, query: Query, shown: str, options: str) -> AsyncGenerator[list[bytes]]:
    """The rows as lines of text, some thousand at a time. Closing it cancels the statement."""
    statement, values = query.statement(query.columns, "LIMIT %s")
    copy = f"COPY (SELECT {shown} FROM ({statement}) AS shown) TO STDOUT ({options})"  # noqa: S608 - as above
    lines: list[bytes] = []
    async with connection.cursor() as cursor, cursor.copy(copy, [*values, query.limit]) as rows:
        while line := await rows.read():
            lines.append(bytes(line))
            if len(lines) == BLOCK:
                yield lines
                lines = []
    if lines:
        yield lines


def _next_url(request: Request, query: Query, last: Sequence[str | None]) -> str:
    kept = [(name, value) for name, value in parameters(query_string(request)) if name != "cursor"]
    return f"{quote(request.scope['path'])}?{urlencode([*kept, ('cursor', query.cursor(last))])}"


def _headers(kind: Format, following: str | None) -> Headers:
    return [*HEADERS[kind], (b"link", f'<{following}>; rel="next"'.encode())] if following else HEADERS[kind]


def _header(request: Request, name: bytes) -> str:
    """A header of the request, "" where it isn't there."""
    for key, value in request.scope["headers"]:
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return ""


def _conditional(request: Request, body: bytes, headers: list[tuple[bytes, bytes]]) -> Response:
    """The answer, or word that the client has it already."""
    # What makes the tag is as fast as reading the body. It is a weak one: gzip leaves it as it is.
    tag = f'"{xxh3_128_hexdigest(body)}"'
    headers.append((b"etag", f"W/{tag}".encode()))
    had = _header(request, b"if-none-match")
    if had and (tag in had or had.strip() == "*"):
        return _Made(304, headers, b"")
    headers.append((b"content-length", b"%d" % len(body)))
    return _Made(200, headers, body)


class _Made(Response):
    """A response of bytes. Starlette's own takes texts, and as long to make bytes of them as the rest takes."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code, self.raw_headers, self.body, self.background = status, headers, body, None
