"""A writer that changes a warehouse at random: loads, corrections, deletions, splits, dividends, names, securities."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS, SPLITS, RefreshPlan
from market_pipeline.warehouse.corporate_actions import refresh
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.load_history import LoadRequest
from market_pipeline.warehouse.loading import load
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.taken_bars import take_bars_out
from market_pipeline.warehouse.tracked_symbols import lock_symbol
from market_pipeline_tests.bar_frames import columns_of

SHARES = [Symbol.of(name, "stock") for name in ("AAA", "BBB", "CCC")]
COIN, PAIR = Symbol.of("BTC", "crypto"), Symbol.of("BTC-USD", "crypto")
SYMBOLS = [*SHARES, COIN]
FIRST, LAST = date(2024, 1, 2), date(2024, 1, 31)


def write_at_random(url: str, seed: int) -> None:
    """Change a warehouse until this process is killed."""
    chance = random.Random(seed)
    engine = create_warehouse_engine(SecretStr(url))
    while True:
        change_at_random(engine, chance)


def change_at_random(engine: Engine, chance: random.Random) -> None:
    """Change a warehouse once; what the database or the project rejects is left out."""
    changes: list[Callable[[Engine, random.Random], None]] = [
        _load, _load, _load, _take_out, _refresh_splits, _refresh_dividends, _rename, _correct, _change_securities
    ]  # fmt: skip
    with suppress(MarketPipelineError, DBAPIError):
        chance.choice(changes)(engine, chance)


def load_at_random(
    engine: Engine, chance: random.Random, symbol: Symbol, *, share: float, dollars: list[float]
) -> None:
    """Load a share of a symbol's bars, chosen at random, each with a close of some of `dollars` and cents at random."""
    sessions = list_sessions(symbol.calendar, FIRST, LAST)
    days = pd.DatetimeIndex(sessions)
    close = [chance.choice(dollars) + chance.random() for _ in days]
    frame = pd.DataFrame(
        {
            "date": days, "time": compute_session_starts(symbol.calendar, days),
            "open": 100.0, "high": 170.0, "low": 99.0,
            "close": close, "volume": 1000.0, "vwap": float("nan"), "transactions": float("nan"),
        }
    )  # fmt: skip
    frame = frame[[chance.random() < share for _ in days]].reset_index(drop=True)
    run_id, bounds = f"run-{chance.randrange(10**6)}", (sessions[0], sessions[-1])
    request = LoadRequest(symbol, sessions, "sandbox", run_id, "cli", datetime.now(UTC), requests=1, answered=bounds)
    load(engine, request, columns_of(frame), [], find_flags)


def _load(engine: Engine, chance: random.Random) -> None:
    load_at_random(engine, chance, chance.choice([*SYMBOLS, PAIR]), share=0.5, dollars=[100, 100, 100, 160])


def _take_out(engine: Engine, chance: random.Random) -> None:
    """Delete bars as those of another security, and sometimes load some of them again in the same load."""
    symbol = chance.choice(SHARES)
    dates = chance.sample(list_sessions("XNYS", FIRST, LAST), 4)
    with engine.begin() as connection:
        locked = lock_symbol(connection, symbol)
        take_bars_out(connection, [locked.id] * len(dates), dates, "another security's bar")
        if chance.random() < 0.5:
            connection.execute(
                text(
                    "INSERT INTO bars (symbol_id, date, open, high, low, close, volume) "
                    "SELECT :id, :date, 1, 1, 1, 1, 1"
                ),
                {"id": locked.id, "date": dates[0]},
            )


def _refresh_splits(engine: Engine, chance: random.Random) -> None:
    plan = RefreshPlan(datetime.now(UTC), tuple(symbol.name for symbol in SHARES))
    listed = [
        {
            "symbol": symbol.name, "execution_date": date(2024, 1, 10), "split_from": 1.0,
            "split_to": float(chance.choice([2, 3])), "vendor_id": None,
        }
        for symbol in SHARES
        if chance.random() < 0.6
    ]  # fmt: skip
    refresh(engine, SPLITS, plan, listed, source="sandbox", run_id="splits", find_flags=find_flags)


def _refresh_dividends(engine: Engine, chance: random.Random) -> None:
    plan = RefreshPlan(datetime.now(UTC), tuple(symbol.name for symbol in SHARES))
    unknown = dict.fromkeys(("frequency", "declaration_date", "record_date", "pay_date", "vendor_id"))
    listed = [
        {
            "symbol": symbol.name, "ex_dividend_date": date(2024, 1, day), "currency": "USD", "dividend_type": "CD",
            "cash_amount": chance.choice([0.5, 1.0, 15.0]), **unknown,
        }
        for symbol in SHARES
        for day in (8, 18)
        if chance.random() < 0.6
    ]  # fmt: skip
    refresh(engine, DIVIDENDS, plan, listed, source="sandbox", run_id="dividends", find_flags=find_flags)


def _rename(engine: Engine, chance: random.Random) -> None:
    old, new = chance.sample([COIN.name, PAIR.name], 2)
    with rename_symbol(engine, old, new):
        pass


def _correct(engine: Engine, chance: random.Random) -> None:
    """Correct bars by hand, without the symbol's lock."""
    by_hand = [
        "UPDATE market_data SET close = close + 0.01, volume = volume + 1 WHERE symbol = :symbol AND date = :date",
        "UPDATE market_data SET flags = '{by hand}', quality_score = 0.5 WHERE symbol = :symbol AND date >= :date",
        "DELETE FROM market_data WHERE symbol = :symbol AND date = :date",
    ]
    parameters: dict[str, Any] = {
        "symbol": chance.choice(SYMBOLS).name,
        "date": chance.choice(list_sessions("XNYS", FIRST, LAST)),
    }
    with engine.begin() as connection:
        for command in chance.sample(by_hand, chance.choice([1, 2])):
            connection.execute(text(command), parameters)


def _change_securities(engine: Engine, chance: random.Random) -> None:
    commands = [
        "INSERT INTO securities (id, name, type) VALUES (:id, :word, 'CS') ON CONFLICT (id) DO UPDATE SET name = :word",
        "UPDATE securities SET checked_at = clock_timestamp() WHERE id = :id",
        "DELETE FROM securities WHERE id = :id",
        "INSERT INTO security_tickers (id, security_id, ticker, source, certain) "
        "SELECT :id, :id, :word, 'assumed', false",
        "UPDATE security_tickers SET certain = NOT certain, note = :word WHERE id = :id",
        "DELETE FROM security_tickers WHERE id = :id",
        "UPDATE tracked_symbols SET security_id = :id WHERE symbol = 'AAA'",
    ]
    parameters = {"id": chance.randrange(1, 6), "word": f"name {chance.randrange(10**6)}"}
    with engine.begin() as connection:
        for command in chance.sample(commands, chance.choice([1, 2, 3])):
            connection.execute(text(command), parameters)
