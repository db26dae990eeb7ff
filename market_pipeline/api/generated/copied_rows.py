"""Rows of a query read by COPY, as blocks of lines in CSV or JSON."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from psycopg import AsyncConnection

from market_pipeline.api.generated.formats import ResponseFormat, build_copied_expressions
from market_pipeline.api.generated.query_sql import Query

BLOCK_ROWS = 5_000
"""Rows of a block; a streamed response holds one block in memory."""


def copy_csv(
    connection: AsyncConnection, query: Query, kind: ResponseFormat, most: int | None
) -> AsyncGenerator[list[bytes]]:
    """Yield the first rows, `most` of them or all, as lines of CSV with values as the format needs them."""
    return copy_rows(connection, query, build_copied_expressions(query.columns, kind), "FORMAT csv", most)


async def copy_json(connection: AsyncConnection, query: Query) -> AsyncGenerator[list[bytes]]:
    """Yield the rows of a page as JSON objects."""
    # JSON has neither of these delimiters, so a line of CSV is one row; a row with line feeds, as a column of type json
    # may have between its values, is quoted.
    options = r"FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02'"
    async with aclosing(copy_rows(connection, query, "row_to_json(shown)", options, query.limit)) as blocks:
        async for lines in blocks:
            yield [line.strip(b"\x01\n") for line in lines]


def copy_rows(
    connection: AsyncConnection, query: Query, expressions: str, options: str, most: int | None
) -> AsyncGenerator[list[bytes]]:
    """Yield the first rows, `most` of them or all, as lines of text, in blocks like `copy_lines`."""
    statement, values = query.statement(query.columns, "LIMIT %s")
    copy = f"COPY (SELECT {expressions} FROM ({statement}) AS shown) TO STDOUT ({options})"  # noqa: S608 - as in next_page
    return copy_lines(connection, copy, [*values, most])


async def copy_lines(connection: AsyncConnection, statement: str, values: Sequence[Any]) -> AsyncGenerator[list[bytes]]:
    """Yield the lines of a COPY, BLOCK_ROWS at a time. Closing the generator cancels the statement."""
    lines: list[bytes] = []
    async with connection.cursor() as cursor, cursor.copy(statement, values) as rows:
        while line := await rows.read():
            lines.append(bytes(line))
            if len(lines) == BLOCK_ROWS:
                yield lines
                lines = []
    if lines:
        yield lines
