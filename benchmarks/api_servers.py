"""The two servers that the read API is compared with, each in a process of its own. For api.py alone.

* floor: an ASGI handler that runs the API's statement and sends its result, no more;
* models: FastAPI with one pydantic model per bar, as JSON only.
"""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from functools import cache
from typing import Any

import uvicorn
from fastapi import FastAPI
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from market_pipeline.api.generated.catalog import Column
from market_pipeline.api.generated.copied_rows import copy_rows
from market_pipeline.api.generated.formats import (
    MEDIA_TYPES,
    ArrowWriter,
    CsvWriter,
    ResponseFormat,
    build_copied_expressions,
)
from market_pipeline.api.generated.history_params import COLUMNS, SOURCES
from market_pipeline.api.generated.query_sql import Condition, Order, Query
from market_pipeline.api.generated.reader import PLANNED_ONCE, create_connection_pool
from market_pipeline.api.udf.udf_history import build_bars_statement
from market_pipeline.api.udf.udf_parameters import MOST_BARS
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.warehouse.database import find_database_url
from market_pipeline.warehouse.roles import READER

BARS = 10_000
CLIENTS = 8
FIRST = date(1999, 1, 1)


VENDOR_ROWS = """
    SELECT string_agg(row_to_json(bar)::text, ',')
    FROM (
        SELECT volume AS v, vwap AS vw, open AS o, close AS c, high AS h, low AS l,
            (date_part('epoch', time) * 1000)::bigint AS t, transactions AS n
        FROM market_data
        WHERE symbol = %s AND date >= %s::date AND date <= %s::date
        ORDER BY date
        LIMIT %s
    ) AS bar
"""
"""The bars under the vendor's keys, without its number format."""


def find_last_day(bars: int) -> date:
    """Return the last of so many days."""
    return date.fromordinal(FIRST.toordinal() + bars - 1)


@cache
def build_query(bars: int) -> Query:
    """Return the query that the API makes of its request."""
    conditions = [
        Condition("symbol = %s", ["AAA"]),
        Condition("date >= %s::date", [FIRST]),
        Condition("date <= %s::date", [find_last_day(bars)]),
    ]
    return Query(SOURCES["none"], COLUMNS, conditions, [Order(_find_column("date"))], BARS)


def _find_column(name: str) -> Column:
    return next(column for column in COLUMNS if column.name == name)


class Floor:
    """An ASGI application that responds with the rows of a statement."""

    def __init__(self, settings: Settings) -> None:
        self._pool = create_connection_pool(find_database_url(settings), READER, CLIENTS, 10, 60, PLANNED_ONCE)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to an ASGI request."""
        if scope["type"] == "lifespan":
            await self._handle_lifespan(receive, send)
            return
        _, kind, bars = scope["path"].split("/")
        if kind in ("vendor", "udf"):
            body = await (self._read_vendor_json(int(bars)) if kind == "vendor" else self._read_udf_json(int(bars)))
            kind = "json"
        else:
            body = await (
                self._read_json(int(bars)) if kind == "json" else self._read_file(int(bars), ResponseFormat(kind))
            )
        headers = [
            (b"content-type", MEDIA_TYPES[ResponseFormat(kind)].encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _handle_lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        await self._pool.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _read_json(self, bars: int) -> bytes:
        statement, values = build_query(bars).json_statement
        async with self._pool.connection() as connection:
            found: Any = await (await connection.execute(statement, values, prepare=True)).fetchone()
        return b"".join((b'{"data":[', found[0].encode(), b"]}"))

    async def _read_vendor_json(self, bars: int) -> bytes:
        async with self._pool.connection() as connection:
            values = ["AAA", FIRST, find_last_day(bars), 50_001]
            found: Any = await (await connection.execute(VENDOR_ROWS, values, prepare=True)).fetchone()
        return b"".join((b'{"data":[', found[0].encode(), b"]}"))

    async def _read_udf_json(self, bars: int) -> bytes:
        values = {"symbol": "AAA", "first": FIRST, "last": find_last_day(bars), "most": MOST_BARS}
        async with self._pool.connection() as connection:
            statement = build_bars_statement("none", "1D")
            found: Any = await (await connection.execute(statement, values, prepare=True)).fetchone()
        body: bytes = found[0].encode()
        return body

    async def _read_file(self, bars: int, kind: ResponseFormat) -> bytes:
        writer = CsvWriter(COLUMNS) if kind is ResponseFormat.CSV else ArrowWriter(COLUMNS, parquet=False)
        parts = [writer.begin()]
        async with self._pool.connection() as connection:
            shown = build_copied_expressions(COLUMNS, kind)
            blocks = copy_rows(connection, build_query(bars), shown, "FORMAT csv", BARS)
            parts += [writer.block(lines) async for lines in blocks]
        return b"".join([*parts, writer.end()])


class Bar(BaseModel):
    """A bar as a model."""

    time: datetime
    date: date
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None
    transactions: int | None
    source: str
    validated: bool
    quality_score: float
    validation_notes: str | None
    flags: list[str]
    gap_detected: bool
    volume_anomaly: bool
    fetched_at: datetime
    run_id: str


class Bars(BaseModel):
    """A symbol's bars as a model."""

    symbol: str
    count: int
    data: list[Bar]


def create_models_app(settings: Settings) -> FastAPI:
    """FastAPI as its tutorial has it: rows, models, JSON."""
    plain = find_database_url(settings).get_secret_value().replace("+psycopg", "")
    pool = AsyncConnectionPool(plain, kwargs={"row_factory": dict_row, "autocommit": True}, max_size=8, open=False)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in COLUMNS)
    statement = sql.SQL(
        "SELECT {} FROM market_data WHERE symbol = %s AND date >= %s AND date <= %s ORDER BY date"
    ).format(names)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/{kind}/{bars}", response_model=Bars)
    async def read(kind: str, bars: int) -> Any:  # noqa: ARG001 - it knows one kind
        async with pool.connection() as connection:
            cursor = await connection.execute(statement, ["AAA", FIRST, find_last_day(bars)], prepare=True)
            rows: list[Any] = await cursor.fetchall()
        return {"symbol": "AAA", "count": len(rows), "data": rows}

    return app


def main() -> None:
    """Serve one of the two on a port, until it is stopped."""
    name, port = sys.argv[1:]
    make: Callable[[Settings], Any] = {"floor": Floor, "models": create_models_app}[name]
    uvicorn.run(make(load_settings()), port=int(port), log_config=None, access_log=False, ws="none")


if __name__ == "__main__":
    main()
