"""The read API beside the least that could answer, and beside an answer of pydantic models: requests/s and p99.

Run it with `.venv/bin/python benchmarks/api.py`. All three serve the same bars, generated in a PostgreSQL of its own,
from one process each with the same server and connection pool:

* api: `market-pipeline api`, parsing, checking and documenting everything, with ETags;
* floor: an ASGI handler that knows nothing but the very statement that the API sends, and sends what it returns;
* models: FastAPI with a pydantic model a bar. It knows JSON only, which stands beside CSV and Arrow too.

Rounds take turns, so that whatever else the machine does touches all three; ratios are of the medians of the rounds.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import requests
import uvicorn
from fastapi import FastAPI
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel
from sqlalchemy import text

from market_pipeline.api.answers import copied
from market_pipeline.api.catalog import Column
from market_pipeline.api.formats import MEDIA_TYPES, ArrowWriter, CsvWriter, Format, copied_expression
from market_pipeline.api.historical import COLUMNS, SOURCES
from market_pipeline.api.queries import Condition, Order, Query
from market_pipeline.api.reader import PLANNED_ONCE, connection_pool
from market_pipeline.settings import Settings, load_settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import database_url, warehouse_of
from market_pipeline.warehouse.roles import READER, reading_role

BARS = 10_000
CLIENTS = 8
SEED = """
INSERT INTO tracked_symbols (symbol, asset_class, vendor_ticker, calendar)
SELECT name, 'crypto', name, '24/7' FROM unnest('{AAA,BBB,CCC,DDD}'::text[]) AS name;
INSERT INTO market_data (
    symbol, date, time, open, high, low, close, volume, vwap, transactions, source, fetched_at, run_id, updated_at
)
SELECT symbol, day::date, day, 100 + random(), 102 + random(), 98 + random(), 100 + random(), 1e6 * random(),
    100 + random(), (1e4 * random())::bigint, 'sandbox', now(), 'seed', now()
FROM tracked_symbols, generate_series(timestamptz '1999-01-01', '2026-10-31', '1 day') AS day;
"""
ANALYZE = "VACUUM ANALYZE market_data"

CASES = {
    "390 bars, JSON": (390, Format.JSON),
    "one bar, JSON": (1, Format.JSON),
    "10,000 bars, CSV": (BARS, Format.CSV),
    "10,000 bars, Arrow": (BARS, Format.ARROW),
}
FIRST = date(1999, 1, 1)


def last_day(bars: int) -> date:
    """The last of so many days."""
    return date.fromordinal(FIRST.toordinal() + bars - 1)


def path(server: str, bars: int, kind: Format) -> str:
    """What a server is asked for."""
    if server == "api":
        return f"/api/v1/historical/AAA?start={FIRST}&end={last_day(bars)}&adjustment=none&format={kind}"
    return f"/{kind}/{bars}"


@cache
def query(bars: int) -> Query:
    """What the API makes of its request."""
    conditions = [
        Condition("symbol = %s", ["AAA"]),
        Condition("date >= %s::date", [FIRST]),
        Condition("date <= %s::date", [last_day(bars)]),
    ]
    return Query(SOURCES["none"], COLUMNS, conditions, [Order(_column("date"))], BARS)


def _column(name: str) -> Column:
    return next(column for column in COLUMNS if column.name == name)


class Floor:
    """An ASGI application that answers with what a statement returns."""

    def __init__(self, settings: Settings) -> None:
        self._pool = connection_pool(database_url(settings), READER, CLIENTS, 10, 60, PLANNED_ONCE)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer an ASGI request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        _, kind, bars = scope["path"].split("/")
        body = await (self._json(int(bars)) if kind == "json" else self._file(int(bars), Format(kind)))
        headers = [(b"content-type", MEDIA_TYPES[Format(kind)].encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        await self._pool.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _json(self, bars: int) -> bytes:
        statement, values = query(bars).json_statement
        async with self._pool.connection() as connection:
            found: Any = await (await connection.execute(statement, values, prepare=True)).fetchone()
        return b"".join((b'{"data":[', found[0].encode(), b"]}"))

    async def _file(self, bars: int, kind: Format) -> bytes:
        writer = CsvWriter(COLUMNS) if kind is Format.CSV else ArrowWriter(COLUMNS, parquet=False)
        parts = [writer.begin()]
        async with self._pool.connection() as connection:
            shown = ", ".join(map(copied_expression, COLUMNS))
            blocks = copied(connection, query(bars), shown, "FORMAT csv")
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


def models(settings: Settings) -> FastAPI:
    """FastAPI as its tutorial has it: rows, models, JSON."""
    plain = database_url(settings).get_secret_value().replace("+psycopg", "")
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
            cursor = await connection.execute(statement, ["AAA", FIRST, last_day(bars)], prepare=True)
            rows: list[Any] = await cursor.fetchall()
        return {"symbol": "AAA", "count": len(rows), "data": rows}

    return app


def serve(name: str, port: int) -> None:
    """Serve one of the two that the API is compared with, until told to stop."""
    application = {"floor": Floor, "models": models}[name](load_settings())
    uvicorn.run(application, port=port, log_config=None, access_log=False, ws="none")


@contextmanager
def running(name: str, settings: Settings) -> Iterator[int]:
    """One of the servers in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = [sys.executable, str(Path(__file__)), "--serve", name, "--port", str(port)]
    api = [str(Path(sys.executable).with_name("market-pipeline")), "api", "--port", str(port)]
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "MARKET_PIPELINE_DATA_DIR": str(settings.market_pipeline_data_dir),
        "API_REQUESTS_PER_MINUTE": "1000000000",  # counting them takes time too
    }
    process = subprocess.Popen(api if name == "api" else own, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def wait_for(port: int) -> None:
    """Wait until a server takes connections."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("a server has not started within a minute")


def load(port: int, asked: str, seconds: float) -> tuple[float, float]:
    """Ask for the same over and over on some connections: requests a second, and the 99th percentile in ms."""
    took: list[float] = []

    def client() -> None:
        with socket.create_connection(("127.0.0.1", port)) as door:
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = f"GET {asked} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            while time.perf_counter() < end:
                begun = time.perf_counter()
                door.sendall(request)
                read_answer(door)
                took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    end = begun + seconds
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / (time.perf_counter() - begun), 1000 * statistics.quantiles(took, n=100)[98]


def read_answer(door: socket.socket) -> None:
    """Read one answer to its end; a client of few instructions, so that it is the server that is measured."""
    head, _, body = door.recv(1 << 18).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    have = len(body)
    while have < length:
        have += len(door.recv(1 << 20))


@contextmanager
def fresh_warehouse() -> Iterator[Settings]:
    """A warehouse with generated bars in a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        Path(folder).chmod(0o755)
        server = embedded.ensure_running(Path(folder) / "data")
        settings = Settings(_env_file=None, database_url=server.url(), market_pipeline_data_dir=Path(folder))
        try:
            with warehouse_of(settings) as warehouse:
                reading_role(warehouse)
                with warehouse.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text(SEED))
                    connection.execute(text(ANALYZE))
            yield settings
        finally:
            embedded.destroy(Path(folder) / "data")


def check_equal(ports: dict[str, int]) -> None:
    """Make sure that all three give the same bars."""
    api, floor, model = (
        requests.get(f"http://127.0.0.1:{ports[name]}{path(name, 390, Format.JSON)}", timeout=30).json()["data"]
        for name in ("api", "floor", "models")
    )
    assert api == floor
    assert [bar["close"] for bar in api] == [bar["close"] for bar in model]


def measure(ports: dict[str, int], rounds: int, seconds: float) -> None:
    """Print a line for every case."""
    print(
        f"| {'':<18} | api req/s (p99 ms) | floor req/s (p99 ms) | models req/s (p99 ms) | api / floor | api / models |"
    )
    print("|---|---|---|---|---|---|")
    for case, (bars, kind) in CASES.items():
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
        for _ in range(rounds):
            for name, port in ports.items():
                found[name].append(load(port, path(name, bars, kind), seconds))
        rate = {name: statistics.median(each for each, _ in results) for name, results in found.items()}
        p99 = {name: statistics.median(each for _, each in results) for name, results in found.items()}
        cells = [f"{rate[name]:,.0f} ({p99[name]:.1f})" for name in ("api", "floor", "models")]
        ratios = [f"{rate['api'] / rate['floor']:.2f}", f"{rate['api'] / rate['models']:.1f}"]
        print(f"| {case:<18} | {' | '.join([*cells, *ratios])} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or be one of the servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=["floor", "models"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.serve, options.port)
        return
    with (
        fresh_warehouse() as settings,
        running("api", settings) as api,
        running("floor", settings) as floor,
        running("models", settings) as model,
    ):
        ports = {"api": api, "floor": floor, "models": model}
        check_equal(ports)
        measure(ports, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
