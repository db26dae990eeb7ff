"""Flags of stored bars, brought up to date after bars were loaded and after splits have changed.

The caller's `find_flags` finds the suspicious bars; this module knows which bars it has to see again.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, select

from market_pipeline.core.bars import (
    LARGE_DISTRIBUTION,
    LOOK_AHEAD,
    LOOK_BACK,
    VALUE_COLUMNS,
    Columns,
    FlaggedBar,
)
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.bar_tables import bars
from market_pipeline.warehouse.statements import statement
from market_pipeline.warehouse.tables import tracked_symbols
from market_pipeline.warehouse.tracked_symbols import lock_symbol, read_names

FindFlags = Callable[[Symbol, Columns, Mapping[date, float], Mapping[date, float]], Sequence[FlaggedBar]]
"""Finds the suspicious ones of a symbol's bars (in order), given its splits (by day, the factor for earlier prices) and
its distributions (by day, dollars a share)."""

REACH = LOOK_BACK + LOOK_AHEAD
"""Stored bars on either side of a changed one that are needed to update flags: those compared with it, and theirs."""


def flag_bars(
    connection: Connection,
    symbol: Symbol,
    symbol_id: int,
    bars: Columns,
    find_flags: FindFlags,
    *,
    changed: tuple[date, date],
) -> frozenset[date]:
    """Update the flags of changed bars and of those compared with them; return the flagged sessions.

    Args:
        connection: in a transaction that holds the symbol's lock.
        symbol: whose bars they are.
        symbol_id: the symbol's id in tracked_symbols.
        bars: `date` and VALUE_COLUMNS, in order, as stored now: the bars that changed and the REACH stored ones on
            either side of them, or all there are.
        find_flags: finds the suspicious bars.
        changed: the first and the last session whose bar may have changed.
    """
    days = bars["date"]
    first, last = (int(np.searchsorted(days, np.datetime64(day))) for day in changed)
    first, last = days[max(first - LOOK_AHEAD, 0)].item(), days[min(last + LOOK_BACK, len(days) - 1)].item()
    flagged = find_flags(symbol, bars, *_actions(connection, symbol, float(bars["close"].min())))
    found = [bar for bar in flagged if first <= bar.session <= last]
    parameters = {
        "symbol_id": symbol_id,
        "first": first,
        "last": last,
        "found": json.dumps([asdict(bar) for bar in found], default=str),
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
        locked = lock_symbol(connection, symbol)
        stored = select(bars).where(bars.c.symbol_id == locked.id).order_by(bars.c.date)
        held = _columns(connection.execute(stored).all())
        if len(held["date"]):
            changed = (held["date"][0].item(), held["date"][-1].item())
            flag_bars(connection, symbol, locked.id, held, find_flags, changed=changed)


def symbols_with_large(connection: Connection, distributions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the symbols for which one of some dividends may be large enough to count as a move's reason.

    Half as large is enough, as a day may have two.
    """
    changed = [
        {"symbol": each["symbol"], "ex_date": each["ex_dividend_date"], "cash": each["cash_amount"]}
        for each in distributions
    ]
    parameters = {"changed": json.dumps(changed, default=str), "share": LARGE_DISTRIBUTION / 2}
    return list(connection.scalars(statement("symbols_with_large_distributions"), parameters))


def reflag_all(engine: Engine, find_flags: FindFlags) -> int:
    """Update the flags of all stored bars, after the rules have changed; return the number of symbols.

    Each symbol is a transaction of its own, so that loads wait for no more than one.
    """
    with engine.connect() as connection:
        names = read_names(connection)
    for name in names:
        with engine.begin() as connection:
            reflag_symbols(connection, [name], find_flags)
    return len(names)


def _actions(
    connection: Connection, symbol: Symbol, lowest_close: float
) -> tuple[Mapping[date, float], Mapping[date, float]]:
    """Return a symbol's splits and those distributions that are large for one of its bars, in one round trip."""
    rows = connection.execute(
        statement("actions_of_bars"), {"symbol": symbol.name, "least_cash": LARGE_DISTRIBUTION * lowest_close}
    ).all()
    splits, distributions = (
        {row.date: row.value for row in rows if row.kind == kind} for kind in ("split", "distribution")
    )
    return splits, distributions


def _columns(rows: Sequence[Row[Any]]) -> Columns:
    held = {name: [getattr(row, name) for row in rows] for name in ("date", *VALUE_COLUMNS)}
    kinds = {"date": "datetime64[D]"}
    return {name: np.array(values, dtype=kinds.get(name, "float64")) for name, values in held.items()}
