"""Flags of stored bars, brought up to date after bars were loaded and after splits have changed.

The caller's `find_flags` finds the suspicious bars; this module knows which bars it has to see again.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, Row, Select, select

from market_pipeline.core.bars import (
    LARGE_DISTRIBUTION,
    LOOK_AHEAD,
    LOOK_BACK,
    ActionsByPlace,
    Columns,
    FlaggedBar,
    bar_keys,
)
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.warehouse.bar_tables import symbol_identities
from market_pipeline.warehouse.held_bars import SymbolSpan, read_held_bars
from market_pipeline.warehouse.statements import array_text, statement
from market_pipeline.warehouse.tables import tracked_symbols
from market_pipeline.warehouse.tracked_symbols import lock_names, lock_symbols, read_names

FindFlags = Callable[
    [Columns, Sequence[AssetClass], ActionsByPlace, ActionsByPlace, NDArray[np.bool_]], Sequence[FlaggedBar]
]
"""Finds the suspicious ones of some symbols' bars (with `place`, by place and date), given the asset classes by place,
the splits (by place and day, the factor for earlier prices), the distributions (by place and day, dollars a share), and
for each bar if a verdict on it is wanted."""

REACH = LOOK_BACK + LOOK_AHEAD
"""Stored bars on either side of a changed one that are needed to update flags: those compared with it, and theirs."""

SYMBOLS_REFLAGGED_TOGETHER = 50
"""Symbols whose whole histories are read at once: 20 years of 50 take 20 MB."""


@dataclass(frozen=True)
class ChangedBars:
    """Stored bars of some symbols, of which each one's from its first to its last date may have changed.

    `bars` are `place`, `date` and VALUE_COLUMNS, by place and date, as stored now: of each symbol, those that changed
    and the REACH stored ones on either side of them, or all there are; at least one. By place: `symbols`, their
    `symbol_ids` in tracked_symbols, and the dates in `firsts` and `lasts`.
    """

    symbols: Sequence[Symbol]
    symbol_ids: Sequence[int]
    bars: Columns
    firsts: Sequence[date]
    lasts: Sequence[date]

    def compared(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return by place the rows of the first and the last bar whose flags rest on a changed one."""
        keys, places = bar_keys(self.bars), np.arange(len(self.symbols))
        starts, ends = (np.searchsorted(self.bars["place"], each) for each in (places, places + 1))
        first, last = (
            np.searchsorted(keys, bar_keys({"place": places, "date": np.array(days, dtype="datetime64[D]")}))
            for days in (self.firsts, self.lasts)
        )
        return np.maximum(first - LOOK_AHEAD, starts), np.minimum(last + LOOK_BACK, ends - 1)


def flag_bars(connection: Connection, changed: ChangedBars, find_flags: FindFlags) -> list[frozenset[date]]:
    """Update the flags of changed bars and of those compared with them; return each symbol's flagged sessions.

    Args:
        connection: in a transaction that holds the symbols' locks.
        changed: bars of at least one symbol.
        find_flags: finds the suspicious bars.
    """
    bars = changed.bars
    splits, distributions = _read_actions(connection, changed)
    first, last = changed.compared()
    row, place = np.arange(len(bars["place"])), bars["place"]
    among = (first[place] <= row) & (row <= last[place])
    found = find_flags(bars, [each.asset_class for each in changed.symbols], splits, distributions, among)
    parameters = {
        "symbol_ids": array_text(np.array(changed.symbol_ids)),
        "firsts": array_text(bars["date"][first]),
        "lasts": array_text(bars["date"][last]),
        "found": json.dumps([{"symbol_id": changed.symbol_ids[bar.place], **vars(bar)} for bar in found], default=str),
    }
    connection.execute(statement("flag_bars"), parameters)
    sessions: list[set[date]] = [set() for _ in changed.symbols]
    for bar in found:
        sessions[bar.place].add(bar.session)
    return [frozenset(each) for each in sessions]


def reflag_symbols(connection: Connection, names: Iterable[str], find_flags: FindFlags) -> None:
    """Update the flags of all bars of these symbols, once their splits have changed.

    Holds the symbols' locks until the transaction ends.
    """
    in_order = sorted(names)  # as locks are taken, so that two transactions can't wait for each other
    for start in range(0, len(in_order), SYMBOLS_REFLAGGED_TOGETHER):
        _reflag(connection, in_order[start : start + SYMBOLS_REFLAGGED_TOGETHER], find_flags)


def _reflag(connection: Connection, names: Sequence[str], find_flags: FindFlags) -> None:
    lock_symbols(connection, names)
    columns = symbol_identities.c
    query = select(columns.symbol_id.label("id"), columns.symbol, columns.asset_class).where(columns.symbol.in_(names))
    _flag_histories(connection, connection.execute(query).all(), find_flags)


def _flag_histories(connection: Connection, symbols: Sequence[Row[Any]], find_flags: FindFlags) -> None:
    """Update the flags of all bars of some symbols (rows of id, symbol, asset_class), whose locks are held."""
    held, _ = read_held_bars(connection, [SymbolSpan(row.id) for row in symbols])
    having_bars, place = np.unique(held["place"], return_inverse=True)
    rows = [symbols[each] for each in having_bars]
    if rows:
        changed = ChangedBars(
            [Symbol(row.symbol, AssetClass(row.asset_class)) for row in rows],
            [row.id for row in rows],
            {**held, "place": place},
            [date.min] * len(rows),
            [date.max] * len(rows),
        )
        flag_bars(connection, changed, find_flags)


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

    Each tracked symbol is a transaction of its own, so that loads wait for no more than one. Those of markets are some
    together: their bars change only in loads of their market, which hold the lock of names.
    """
    with engine.connect() as connection:
        names = read_names(connection, tracked_only=True)
        untracked: Sequence[int] = connection.scalars(
            _untracked().with_only_columns(symbol_identities.c.symbol_id)
        ).all()
    for name in names:
        with engine.begin() as connection:
            reflag_symbols(connection, [name], find_flags)
    for start in range(0, len(untracked), SYMBOLS_REFLAGGED_TOGETHER):
        chunk = untracked[start : start + SYMBOLS_REFLAGGED_TOGETHER]
        with engine.begin() as connection:
            lock_names(connection)
            rows = connection.execute(_untracked().where(symbol_identities.c.symbol_id.in_(chunk))).all()
            _flag_histories(connection, rows, find_flags)
    return len(names) + len(untracked)


def _untracked() -> Select[Any]:
    """Return the query for the symbols that a market has and that were never tracked."""
    columns = symbol_identities.c
    query = select(columns.symbol_id.label("id"), columns.symbol, columns.asset_class)
    return query.where(columns.symbol_id.not_in(select(tracked_symbols.c.id))).order_by(columns.symbol_id)


def _read_actions(connection: Connection, changed: ChangedBars) -> tuple[ActionsByPlace, ActionsByPlace]:
    """Return the symbols' splits and those distributions that are large for one of their bars, in one round trip."""
    places = {symbol.name: place for place, symbol in enumerate(changed.symbols)}
    starts = np.searchsorted(changed.bars["place"], np.arange(len(places)))
    lowest = np.minimum.reduceat(changed.bars["close"], starts)
    parameters = {"symbols": list(places), "least_cash": array_text(LARGE_DISTRIBUTION * lowest)}
    splits: defaultdict[int, dict[date, float]] = defaultdict(dict)
    distributions: defaultdict[int, dict[date, float]] = defaultdict(dict)
    for row in connection.execute(statement("actions_of_bars"), parameters):
        actions = splits if row.kind == "split" else distributions
        actions[places[row.symbol]][row.date] = row.value
    return splits, distributions
