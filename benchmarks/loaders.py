"""Loads of daily bars from HTTP into PostgreSQL: the project's, and simpler ones without its checks.

All fetch the same bytes from the same server, each request all bars of a symbol, up to eight requests at a time.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import psycopg
import requests
from pydantic import SecretStr

from market_pipeline.core.symbols import Symbol
from market_pipeline.ingest import Run, ingest
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.limiter import WINDOW_SECONDS
from market_pipeline.security_refresh import refresh_reference
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.rate_limit import SharedLimiter

FLAT_BARS = """
CREATE TABLE flat_bars (
    symbol text, date date, time timestamptz NOT NULL, open float8 NOT NULL, high float8 NOT NULL, low float8 NOT NULL,
    close float8 NOT NULL, volume float8 NOT NULL, vwap float8, transactions bigint, source text NOT NULL,
    validated boolean NOT NULL DEFAULT true, quality_score float8 NOT NULL DEFAULT 1,
    flags text[] NOT NULL DEFAULT '{}', validation_notes text, gap_detected boolean NOT NULL DEFAULT false,
    volume_anomaly boolean NOT NULL DEFAULT false, fetched_at timestamptz NOT NULL, run_id text NOT NULL,
    updated_at timestamptz NOT NULL, PRIMARY KEY (symbol, date)
)
"""
"""The columns of market_data, which is a view of several tables, as one table."""

AT_ONCE = 8
ANY_RATE = 60_000
NEW_YORK = ZoneInfo("America/New_York")

Record = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Symbols and sessions to load, the server to load from, and the database to load into."""

    base_url: str
    database: str
    symbols: Sequence[Symbol]
    sessions: Sequence[date]

    def build_url(self, symbol: Symbol) -> str:
        """Return the URL of a symbol's bars, the same that the project requests."""
        path = f"/v2/aggs/ticker/{symbol.vendor_ticker}/range/1/day/{self.sessions[0]}/{self.sessions[-1]}"
        return f"{self.base_url}{path}?adjusted=false&sort=asc&limit=50000"

    def open_session(self) -> requests.Session:
        """Return the HTTP session of the requests."""
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = "Bearer sandbox"
        return session


def load_by_project(work: Work) -> int:
    """Run the project's main job, and return the number of bars loaded or unchanged.

    It applies rules, merges, keeps revisions and rejected bars, flags, and records each load: one transaction a symbol.
    """
    engine = create_warehouse_engine(SecretStr(work.database))
    limiter = SharedLimiter(engine, ANY_RATE, window_seconds=WINDOW_SECONDS)
    with PolygonClient(work.base_url, None, source="sandbox", limiter=limiter) as client:
        results = ingest(
            work.symbols,
            work.sessions,
            vendor=Fetcher(client, work.symbols, work.sessions, datetime.now(UTC)),
            fetch_reference=partial(refresh_reference, client, engine),
            delisted={},
            warehouse=engine,
            run=Run("benchmark", "manual"),
            at_once=AT_ONCE,
        )
        bars = sum(result.loaded + result.unchanged for together in results for result in together)
    engine.dispose()
    return bars


def load_by_bare_copy(work: Work) -> int:
    """Read the JSON and COPY it into one flat table, no more. It fails on any bar that is stored already."""
    names = ", ".join([*CONSTANT_TEXT, *CONSTANT_TIME, *KINDS])
    with psycopg.connect(work.database) as connection, connection.cursor() as cursor, work.open_session() as session:

        def fetch_rows(symbol: Symbol) -> bytes:
            return encode_rows(symbol.name, orjson.loads(session.get(work.build_url(symbol)).content)["results"])

        with (
            ThreadPoolExecutor(AT_ONCE) as pool,
            cursor.copy(f"COPY flat_bars ({names}) FROM STDIN (FORMAT binary)") as copy,
        ):
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for rows in pool.map(fetch_rows, work.symbols):
                copy.write(rows)
            copy.write(b"\xff\xff")
        return cursor.rowcount


NUMBERS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "vwap": "vw", "transactions": "n"}
KINDS = {"date": ">i4", "time": ">i8", **dict.fromkeys(NUMBERS, ">f8"), "transactions": ">i8"}
CONSTANT_TEXT = ("symbol", "source", "run_id")
CONSTANT_TIME = ("fetched_at", "updated_at")
POSTGRES_EPOCH = np.datetime64("2000-01-01", "ms")


def encode_rows(symbol: str, records: Sequence[Record]) -> bytes:
    """Return a symbol's rows in COPY's binary format, built as one array of records of fixed width."""
    constant = {"symbol": symbol, "source": "sandbox", "run_id": "copy"}
    kinds = {name: f"S{len(value)}" for name, value in constant.items()}
    kinds |= dict.fromkeys(CONSTANT_TIME, ">i8") | KINDS
    fields = [("count", ">i2")]
    for name, kind in kinds.items():
        fields += [(f"{name} length", ">i4"), (name, kind)]
    rows = np.empty(len(records), dtype=np.dtype(fields))
    rows["count"] = len(kinds)
    for name in kinds:
        rows[f"{name} length"] = rows.dtype[name].itemsize
    for name, value in constant.items():
        rows[name] = value.encode()
    for name in CONSTANT_TIME:
        rows[name] = (np.datetime64(datetime.now(UTC).replace(tzinfo=None), "us") - POSTGRES_EPOCH).astype("int64")
    milliseconds = np.array([record["t"] for record in records]) - POSTGRES_EPOCH.astype("int64")
    rows["time"] = milliseconds * 1000
    rows["date"] = milliseconds // 86_400_000  # midnight in New York is four or five hours into the same day in UTC
    for name, key in NUMBERS.items():
        rows[name] = [record[key] for record in records]
    return rows.tobytes()


def load_row_by_row(work: Work) -> int:
    """Upsert bar by bar with a prepared statement, committed per symbol, as the earlier service did."""
    bars = 0
    with psycopg.connect(work.database) as connection, work.open_session() as session:
        for symbol in work.symbols:
            for row in iterate_rows(symbol, json.loads(session.get(work.build_url(symbol)).content)["results"]):
                connection.execute(UPSERT, row, prepare=True)
                bars += 1
            connection.commit()
    return bars


UPSERT = """
INSERT INTO flat_bars (
    symbol, date, time, open, high, low, close, volume, vwap, transactions, source, fetched_at, run_id, updated_at
)
VALUES (
    %(symbol)s, %(date)s, %(time)s, %(open)s, %(high)s, %(low)s, %(close)s, %(volume)s, %(vwap)s, %(transactions)s,
    'sandbox', now(), 'row by row', now()
)
ON CONFLICT (symbol, date) DO UPDATE SET
    time = excluded.time, open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, vwap = excluded.vwap, transactions = excluded.transactions,
    fetched_at = excluded.fetched_at, run_id = excluded.run_id, updated_at = excluded.updated_at
"""


def iterate_rows(symbol: Symbol, records: Sequence[Record]) -> Iterator[Record]:
    """Yield a symbol's bars as dicts by column."""
    for record in records:
        time = datetime.fromtimestamp(record["t"] / 1000, UTC)
        yield {
            "symbol": symbol.name,
            "date": time.astimezone(NEW_YORK).date(),
            "time": time,
            **{name: record[key] for name, key in NUMBERS.items()},
        }
