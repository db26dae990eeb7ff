"""Flags of stored bars, brought up to date after bars were loaded and after splits have changed.

The caller's `find_flags` finds the suspicious bars; this module knows which bars it has to see again.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, select

from market_pipeline.core.bars import (
    LARGE_DISTRIBUTION,
    LOOK_AHEAD,
    LOOK_BACK,
    Columns,
    FlaggedBar,
)
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.held_bars import SymbolSpan, read_held_bars
from market_pipeline.warehouse.statements import statement
from market_pipeline.warehouse.tables import tracked_symbols
from market_pipeline.warehouse.tracked_symbols import lock_symbol, read_names

FindFlags = Callable[[Symbol, Columns, Mapping[date, float], Mapping[date, float]], Sequence[FlaggedBar]]
"""Finds the suspicious ones of a symbol's bars (in order), given its splits (by day, the factor for earlier prices) and
its distributions (by day, dollars a share)."""

REACH = LOOK_BACK + LOOK_AHEAD
"""Stored bars on either side of a changed one that are needed to update flags: those compared with it, and theirs."""


@dataclass(frozen=True)
class ChangedBars:
    """A symbol's stored bars, of which those from `first` to `last` may have changed.

    `bars` are `date` and VALUE_COLUMNS, in order, as stored now: those that changed and the REACH stored ones on either
    side of them, or all there are. `symbol_id` is the symbol's in tracked_symbols.
    """

    symbol: Symbol
    symbol_id: int
    bars: Columns
    first: date
    last: date

    @property
    def compared(self) -> tuple[date, date]:
        """The dates of the first and the last bar whose flags rest on a changed one."""
        days = self.bars["date"]
        first, last = (int(np.searchsorted(days, np.datetime64(day))) for day in (self.first, self.last))
        return days[max(first - LOOK_AHEAD, 0)].item(), days[min(last + LOOK_BACK, len(days) - 1)].item()


def flag_bars(connection: Connection, changed: Sequence[ChangedBars], find_flags: FindFlags) -> list[frozenset[date]]:
    """Update the flags of changed bars and of those compared with them; return each symbol's flagged sessions.

    Args:
        connection: in a transaction that holds the symbols' locks.
        changed: of each symbol at least one bar.
        find_flags: finds the suspicious bars.
    """
    actions = _read_actions(connection, changed)
    spans = [each.compared for each in changed]
    found = [
        [bar for bar in find_flags(each.symbol, each.bars, *actions[each.symbol.name]) if first <= bar.session <= last]
        for each, (first, last) in zip(changed, spans, strict=True)
    ]
    flagged = [
        {"symbol_id": each.symbol_id, **asdict(bar)} for each, bars in zip(changed, found, strict=True) for bar in bars
    ]
    parameters = {
        "symbol_ids": [each.symbol_id for each in changed],
        "firsts": [first for first, _ in spans],
        "lasts": [last for _, last in spans],
        "found": json.dumps(flagged, default=str),
    }
    connection.execute(statement("flag_bars"), parameters)
    return [frozenset(bar.session for bar in bars) for bars in found]


def reflag_symbols(connection: Connection, names: Iterable[str], find_flags: FindFlags) -> None:
    """Update the flags of all bars of these symbols, once their splits have changed.

    Holds the symbols' locks until the transaction ends.
    """
    columns = tracked_symbols.c
    for name in sorted(names):  # in a fixed order, so that two transactions can't wait for each other
        kind: str = connection.execute(select(columns.asset_class).where(columns.symbol == name)).scalar_one()
        symbol = Symbol.of(name, kind)
        locked = lock_symbol(connection, symbol)
        held, _ = read_held_bars(connection, [SymbolSpan(locked.id)])
        if len(held["date"]):
            first, last = held["date"][0].item(), held["date"][-1].item()
            flag_bars(connection, [ChangedBars(symbol, locked.id, held, first, last)], find_flags)


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


_Actions = tuple[dict[date, float], dict[date, float]]


def _read_actions(connection: Connection, changed: Sequence[ChangedBars]) -> Mapping[str, _Actions]:
    """Return symbols' splits and those distributions that are large for one of their bars, in one round trip."""
    parameters = {
        "symbols": [each.symbol.name for each in changed],
        "least_cash": [LARGE_DISTRIBUTION * float(each.bars["close"].min()) for each in changed],
    }
    actions: defaultdict[str, _Actions] = defaultdict(lambda: ({}, {}))
    for row in connection.execute(statement("actions_of_bars"), parameters):
        actions[row.symbol][row.kind != "split"][row.date] = row.value
    return actions
