"""A whole market into PostgreSQL: sessions as arrays, loaded in blocks, beside bare COPY of the same rows; then reads.

    python -m benchmarks.market_store

The sessions are generated, all tickers at once; generating them is not timed. Bare COPY writes the same rows, session
by session, to a table with the columns and indexes of `bars`.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import psutil
from sqlalchemy import Connection, Engine, text

from benchmarks.report import Finding, at_least, at_most, command
from benchmarks.stage import fresh_warehouse, statements
from market_pipeline.core.allocator import return_large_arrays
from market_pipeline.core.bars import VALUE_COLUMNS
from market_pipeline.core.market_bars import CheckedSession, MarketSession
from market_pipeline.core.markets import MARKETS, Origin
from market_pipeline.core.sessions import sessions_between
from market_pipeline.market_ingest import SESSIONS_TOGETHER
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.binary_copy import NEW_BAR_COLUMNS, encode_new_bars
from market_pipeline.warehouse.market_loading import load_sessions
from market_pipeline.warehouse.market_records import MarketRun
from market_pipeline.warehouse.recent_bars import RecentBars
from market_pipeline.warehouse.statements import open_copy
from market_pipeline.warehouse.tracked_markets import track_market

MARKET = MARKETS["us_stocks"]
RUN = MarketRun("benchmark", "cli", "sandbox")
COPY = f"COPY bare_bars ({', '.join(NEW_BAR_COLUMNS)}) FROM STDIN (FORMAT binary)"


@dataclass(frozen=True)
class Size:
    """Tickers that trade on a session, sessions, sessions of a block, and nights loaded again."""

    tickers: int = 11_000
    sessions: int = 1_255
    block: int = SESSIONS_TOGETHER
    nights: int = 3
    reads: int = 20


FULL = Size(sessions=252)
TINY = Size(tickers=50, sessions=60, nights=1, reads=3)


def generate(size: Size, days: Sequence[date]) -> Iterator[CheckedSession]:
    """Yield sessions of a market of which a twentieth of the tickers ends each year, and as many begin."""
    random = np.random.default_rng(20)
    alive = np.arange(size.tickers)
    following = size.tickers
    close = np.exp(random.normal(3, 1, size.tickers))
    usual = np.exp(random.normal(11, 2, size.tickers))
    for day in days:
        ended = random.random(size.tickers) < 0.05 / 252
        alive[ended] = following + np.arange(ended.sum())
        following += int(ended.sum())
        close = close * np.exp(random.normal(0, 0.02, size.tickers))
        opened = close * np.exp(random.normal(0, 0.01, size.tickers))
        spread = np.exp(np.abs(random.normal(0, 0.01, size.tickers)))
        volume = np.round(usual * np.exp(random.normal(0, 0.4, size.tickers)))
        prices = (opened, np.maximum(opened, close) * spread, np.minimum(opened, close) / spread, close)
        values = [np.round(each, 4) for each in prices]
        traded = random.random(size.tickers) < 0.97
        columns: dict[str, Any] = dict(
            zip(VALUE_COLUMNS, (*values, volume, np.full(size.tickers, np.nan), np.ceil(volume / 90)), strict=True)
        )
        columns = {name: column[traded] for name, column in columns.items()}
        columns["date"] = np.full(int(traded.sum()), np.datetime64(day))
        tickers = np.array([ticker_of(number) for number in alive[traded].tolist()], dtype=object)
        fetched = MarketSession(day, tickers, columns, lambda _row: {}, Origin.FLAT_FILE, "etag", requests=1)
        yield CheckedSession(fetched, tickers, columns, ())


def ticker_of(number: int) -> str:
    """Return a ticker: letters by number."""
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def blocks(sessions: Iterator[CheckedSession], size: int) -> Iterator[list[CheckedSession]]:
    """Yield sessions in blocks."""
    block = []
    for session in sessions:
        block.append(session)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def bare_copy(engine: Engine, block: Sequence[CheckedSession]) -> None:
    """Write the rows of some sessions by COPY, each session's in its order."""
    with engine.begin() as connection, open_copy(connection, COPY) as copy:
        for session in block:
            numbers = np.array([hash_of(ticker) for ticker in session.tickers], dtype=np.int64)
            parts = [*encode_new_bars({"symbol_id": numbers, **session.columns}, 1)]
            copy.write(b"".join(parts[0 if session is block[0] else 1 : -1]))
        copy.write(b"\xff\xff")


def hash_of(ticker: str) -> int:
    """Return the number of a ticker, as a symbol's id."""
    number = 0
    for letter in ticker:
        number = number * 26 + ord(letter) - ord("A")
    return number


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def read(connection: Connection, query: str, parameters: dict[str, Any]) -> None:
    """Fetch all rows of a query."""
    connection.execute(text(query), parameters).all()


def median_read(engine: Engine, query: str, parameters: Sequence[dict[str, Any]]) -> float:
    """Return the median milliseconds of a query, rows fetched, with each of some parameters."""
    with engine.connect() as connection:
        taken = [timed(partial(read, connection, query, each)) for each in parameters]
    return 1000 * statistics.median(taken)


def run(size: Size) -> Finding:
    """Load the market both ways, block after block in turns, and read it."""
    days = sessions_between("XNYS", date(2020, 11, 30), date(2027, 1, 1))[: size.sessions]
    ours, bare, memory = [], [], []
    process, recent = psutil.Process(), RecentBars()
    return_large_arrays()
    stored = 0
    with fresh_warehouse() as (_, engine):
        track_market(engine, MARKET)
        statements(
            engine,
            "CREATE TABLE bare_bars (LIKE bars INCLUDING ALL)",
            "ALTER TABLE bare_bars ALTER COLUMN load_id DROP DEFAULT",
        )
        for block in blocks(generate(size, days), size.block):
            ours.append(timed(partial(load_sessions, engine, MARKET, block, RUN, find_flags, recent=recent)))
            memory.append(process.memory_info().rss / 2**20)
            bare.append(timed(partial(bare_copy, engine, block)))
            stored += sum(len(session.tickers) for session in block)
        night = block[-5:]
        nights = [timed(partial(load_sessions, engine, MARKET, night, RUN, find_flags)) for _ in range(size.nights)]
        statements(engine, "VACUUM (ANALYZE)", "CHECKPOINT")
        with engine.connect() as connection:
            names = ("bars", "bar_flags", "market_listings", "symbol_identities")
            sizes = " + ".join(f"pg_total_relation_size('{name}')" for name in names)
            bytes_a_bar: float = connection.execute(text(f"SELECT ({sizes})::float8 / count(*) FROM bars")).scalar_one()
        random = np.random.default_rng(1)
        chosen = [{"symbol": str(each)} for each in random.choice(block[-1].tickers, size.reads)]
        on = [{"day": each} for each in random.choice(np.array(days, dtype=object), size.reads)]
        symbol = median_read(engine, "SELECT * FROM market_data WHERE symbol = :symbol ORDER BY date", chosen)
        session = median_read(
            engine, "SELECT symbol, open, high, low, close, volume FROM market_data WHERE date = :day", on
        )
        universe = median_read(engine, "SELECT * FROM universe(:day)", on)
    again = sum(len(session.tickers) for session in night)
    rate = stored / sum(ours)
    rows = [
        ["load_sessions", f"{stored:,}", f"{sum(ours):.1f} s", f"{rate:,.0f}", f"{max(memory):,.0f} MiB"],
        ["bare COPY", f"{stored:,}", f"{sum(bare):.1f} s", f"{stored / sum(bare):,.0f}", ""],
        ["five sessions again", f"{again:,}", f"{statistics.median(nights):.2f} s", "", ""],
    ]
    goals = [
        at_least("bars/s of load_sessions", [rate], 150_000, "bars/s"),
        at_least("bars/s of load_sessions over bare COPY's", [sum(bare) / sum(ours)], 0.5),
        at_most("bytes a bar", [bytes_a_bar], 130, "bytes"),
        at_most("peak memory", [max(memory)], 400, "MiB"),
        at_most("one symbol's bars of all sessions", [symbol], 5, "ms"),
        at_most("one session of all symbols", [session], 100, "ms"),
        at_most("universe of a session", [universe], 50, "ms"),
    ]
    work = f"{size.tickers:,} tickers, {len(days):,} sessions in blocks of {size.block}."
    return Finding("A whole market", work, ("load", "bars", "time", "bars/s", "memory"), rows, goals)


if __name__ == "__main__":
    command(run, FULL, TINY)
