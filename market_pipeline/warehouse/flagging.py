"""Flags of stored bars, brought up to date after bars were loaded and after splits have changed.

The caller's `find_flags` finds the suspicious bars; this module knows which bars it has to see again.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Row, select

from market_pipeline.core.bars import BAR_COLUMNS, VALUE_COLUMNS, Columns, FlaggedBar, columns_of
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.statements import statement
from market_pipeline.warehouse.tables import market_data, splits, tracked_symbols
from market_pipeline.warehouse.tracked_symbols import lock_symbol

FindFlags = Callable[[Symbol, Columns, Mapping[date, float]], Sequence[FlaggedBar]]
"""Finds the suspicious ones of a symbol's bars (in order), given its splits: by day, the factor for earlier prices."""


def flag_bars(
    connection: Connection, symbol: Symbol, bars: Columns, find_flags: FindFlags, at: datetime, *, since: date
) -> frozenset[date]:
    """Update the flags of the bars from `since` to the last one, and return the sessions of flagged bars.

    Args:
        connection: in a transaction that holds the symbol's lock.
        symbol: whose bars they are.
        bars: `date` and VALUE_COLUMNS, in order, as stored now: all there are from LOOK_BACK stored sessions before
            `since` on, and the LOOK_BACK after the newest that has changed, which are compared with it.
        find_flags: finds the suspicious bars.
        at: the instant of the load.
        since: the oldest bar that has changed.
    """
    found = [bar for bar in find_flags(symbol, bars, _splits(connection, symbol)) if bar.session >= since]
    parameters = {
        "symbol": symbol.name,
        "first": since,
        "last": bars["date"][-1].item(),
        "found": json.dumps([asdict(bar) for bar in found], default=str),
        "at": at,
    }
    connection.execute(statement("flag_bars"), parameters)
    return frozenset(bar.session for bar in found)


def reflag_symbols(connection: Connection, names: Iterable[str], find_flags: FindFlags) -> None:
    """Update the flags of all bars of these symbols, once their splits have changed.

    Holds the symbols' locks until the transaction ends.
    """
    columns = tracked_symbols.c
    for name in sorted(names):  # in a fixed order, so that two transactions can't wait for each other
        kind: str = connection.execute(select(columns.asset_class).where(columns.symbol == name)).scalar_one()
        symbol = Symbol.of(name, kind)
        at = lock_symbol(connection, symbol)
        bars = market_data.c
        stored = select(*(bars[column] for column in BAR_COLUMNS)).where(bars.symbol == name).order_by(bars.date)
        frame = _frame(connection.execute(stored))
        if not frame.empty:
            flag_bars(connection, symbol, columns_of(frame), find_flags, at, since=date.min)


def _splits(connection: Connection, symbol: Symbol) -> Mapping[date, float]:
    held = select(splits.c.execution_date, (splits.c.split_from / splits.c.split_to).label("factor")).where(
        splits.c.symbol == symbol.name
    )
    return {row.execution_date: row.factor for row in connection.execute(held)}


def _frame(rows: Iterable[Row[Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(BAR_COLUMNS))
    numbers = dict.fromkeys(VALUE_COLUMNS, "float64")
    return frame.astype({"date": "datetime64[us]", "time": "datetime64[us, UTC]", **numbers})
