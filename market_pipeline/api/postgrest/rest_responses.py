"""Responses of `/rest/v1/{table}`: the rows as an array, as one object or as CSV, with their range.

Up to MAX_COMPLETE_ROWS rows are one complete response; more are streamed. Both show one state of the database.
"""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import lru_cache

from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.context import Context
from market_pipeline.api.generated.copied_rows import copy_lines
from market_pipeline.api.generated.query_params import CACHED_QUERIES
from market_pipeline.api.generated.reader import QueryTimeoutError
from market_pipeline.api.generated.responses import MAX_COMPLETE_ROWS, BytesResponse
from market_pipeline.api.generated.streaming import StreamedResponse
from market_pipeline.api.postgrest.preferences import Representation
from market_pipeline.api.postgrest.rest_errors import RestError
from market_pipeline.api.postgrest.row_range import choose_range_status, format_content_range
from market_pipeline.api.postgrest.table_read import Statement, TableRead


@dataclass(frozen=True)
class RestRequest:
    """A request, parsed. `count` is the preferred way to count all rows: exact, planned, estimated, or None."""

    request: Request
    context: Context
    read: TableRead
    form: Representation
    count: str | None

    @property
    def counts_all(self) -> bool:
        """True if all rows have to be counted, and not only those of the response."""
        return self.count == "exact" and not self.read.range.is_everything


async def respond_to(rest: RestRequest) -> Response:
    """Return the response to a request.

    Raises:
        RestError: the range begins after the last row, or there is not one row where one is requested.
        ProblemError: the database can't be reached, took too long, or rejects the statement.
    """
    if rest.request.scope["method"] == "HEAD":
        return await _respond_without_rows(rest)
    if rest.form.is_single:
        return await _respond_with_object(rest)
    return await (_respond_with_file(rest) if rest.form.is_csv else _respond_with_array(rest))


async def _respond_without_rows(rest: RestRequest) -> Response:
    statement, values = rest.read.count_statement(counts_all=rest.counts_all)
    _, count, total = await rest.context.reader.row(statement, values, by_key=rest.read.by_key)
    status, headers = await _build_head(rest, count, total)
    return BytesResponse(status, headers, b"")


async def _respond_with_array(rest: RestRequest) -> Response:
    reader, form = rest.context.reader, rest.form
    read = rest.read.first_rows
    statement, values = _build_array_statement(read, form.strips_nulls, rest.counts_all)
    try:
        rows, count, total = await reader.row(statement, values, by_key=read.by_key)
    except QueryTimeoutError:
        if read is rest.read:
            raise
        return await _stream(rest)  # a download has more time
    if count > MAX_COMPLETE_ROWS:
        return await _stream(rest)
    status, headers = await _build_head(rest, count, total)
    return _complete(status, headers, f"[{rows or ''}]".encode())


@lru_cache(CACHED_QUERIES)
def _build_array_statement(read: TableRead, strips_nulls: bool, counts_all: bool) -> Statement:
    """Return the statement of an array, built once for a request that is repeated: building it takes 35 us."""
    return read.json_statement(strips_nulls=strips_nulls, counts_all=counts_all)


async def _respond_with_object(rest: RestRequest) -> Response:
    reader = rest.context.reader
    statement, values = rest.read.with_limit(2).json_statement(
        strips_nulls=rest.form.strips_nulls, counts_all=rest.counts_all
    )
    rows, count, total = await reader.row(statement, values, by_key=rest.read.by_key)
    if count != 1:
        statement, values = rest.read.count_statement(counts_all=False)
        count = (await reader.row(statement, values))[1]
        message, details = "Cannot coerce the result to a single JSON object", f"The result contains {count} rows"
        raise RestError(406, "PGRST116", message, details=details)
    status, headers = await _build_head(rest, count, total)
    return _complete(status, headers, rows.encode())


async def _respond_with_file(rest: RestRequest) -> Response:
    read = rest.read.first_rows
    statement, values = read.copy_statement(as_csv=True, strips_nulls=False)
    try:
        async with rest.context.reader.snapshot(long=False) as snapshot:
            async with aclosing(copy_lines(snapshot.connection, statement, values)) as blocks:
                lines = [line async for block in blocks for line in block]
            total = (await _count(snapshot.connection, rest))[1] if rest.counts_all else None
    except QueryTimeoutError:
        if read is rest.read:
            raise
        return await _stream(rest)
    if len(lines) > MAX_COMPLETE_ROWS:
        return await _stream(rest)
    status, headers = await _build_head(rest, len(lines), total)
    return _complete(status, headers, b"".join((_format_header_line(rest.read), *lines)))


async def _stream(rest: RestRequest) -> Response:
    """Start to stream the rows. The first part is awaited here, so that an error up to then is still reported."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(rest.context.downloads.acquire(rest.request.scope["client"][0]))
        snapshot = await stack.enter_async_context(rest.context.reader.snapshot(long=True))
        count, total = await _count(snapshot.connection, rest)
        status, headers = await _build_head(rest, count, total)
        parts = _encode_body(snapshot.connection, rest)
        await stack.enter_async_context(aclosing(parts))
        response = StreamedResponse(await anext(parts), parts, stack.pop_all())
        response.status_code, response.raw_headers = status, headers
        return response


async def _count(connection: AsyncConnection, rest: RestRequest) -> tuple[int, int | None]:
    """Return the number of rows of the response, and that of all rows if it is preferred."""
    statement, values = rest.read.count_statement(counts_all=rest.counts_all)
    [(_, count, total)] = await (await connection.execute(statement, values)).fetchall()
    return count, total


async def _encode_body(connection: AsyncConnection, rest: RestRequest) -> AsyncGenerator[bytes]:
    """Yield the body: all rows, read by COPY."""
    form, read = rest.form, rest.read
    statement, values = read.copy_statement(as_csv=form.is_csv, strips_nulls=form.strips_nulls)
    yield _format_header_line(read) if form.is_csv else b"["
    is_first = True
    async with aclosing(copy_lines(connection, statement, values)) as blocks:
        async for lines in blocks:
            if form.is_csv:
                yield b"".join(lines)
            else:
                yield (b"" if is_first else b",") + b",".join(line.strip(b"\x01\n") for line in lines)
            is_first = False
    if not form.is_csv:
        yield b"]"


def _format_header_line(read: TableRead) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(column.name for column in read.selected)
    return line.getvalue().encode()


async def _build_head(rest: RestRequest, count: int, total: int | None) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return the status and the headers of a response with `count` rows, of `total` if these were counted.

    Raises:
        RestError: the range begins after the last row.
    """
    offset = rest.read.range.offset
    if rest.count == "exact":
        total = count if total is None else total
    elif rest.count:
        total = await _estimate_total(rest)
    headers = [
        (b"content-type", rest.form.content_type),
        (b"cache-control", b"no-cache"),
        (b"vary", b"Accept, Prefer, Range"),
        (b"content-range", format_content_range(offset, count, total).encode()),
    ]
    if rest.count:
        headers.append((b"preference-applied", f"count={rest.count}".encode()))
    return choose_range_status(offset, count, total), headers


async def _estimate_total(rest: RestRequest) -> int:
    """Return the number of all rows by PostgreSQL's plan; `estimated`: an exact one up to API_MAX_ROWS."""
    reader, most = rest.context.reader, rest.context.settings.api_max_rows
    exact = 0
    if rest.count == "estimated":
        statement, values = rest.read.total_statement(most + 1)
        exact = int((await reader.row(statement, values))[0])
        if exact <= most:
            return exact
    statement, values = rest.read.plan_statement
    [plan] = await reader.row(statement, values)
    return max(exact, int(plan[0]["Plan"]["Plan Rows"]))


def _complete(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Response:
    return BytesResponse(status, [*headers, (b"content-length", b"%d" % len(body))], body)
