"""Flags of stored bars, brought up to date after bars were loaded and after splits have changed.

The caller's `find_flags` finds the suspicious bars; this module knows which bars it has to see again.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

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
    compute_bar_keys,
)
from market_pipeline.core.symbols import AssetClass
from market_pipeline.warehouse.bar_tables import symbol_identities
from market_pipeline.warehouse.held_bars import SymbolSpan, read_held_bars
from market_pipeline.warehouse.statements import format_array, read_statement
from market_pipeline.warehouse.tables import tracked_symbols
from market_pipeline.warehouse.tracked_symbols import lock_names, lock_symbols, read_names

FindFlags = Callable[
    [Columns, Sequence[AssetClass], ActionsByPlace, ActionsByPlace, NDArray[np.bool_]], Sequence[FlaggedBar]
]
"""Finds the suspicious ones of some symbols' bars (with `place`, by place and date), given the asset classes by place,
the splits (by place and day, the factor for earlier prices), the distributions (by place and day, dollars a share), and
for each bar if a verdict on it is wanted."""

REACH = LOOK_BACK + LOOK_AHEAD
"""Stored bars on either side of a changed one that are needed to update flags: those compared with it, and those that
these are compared with."""

SYMBOLS_REFLAGGED_TOGETHER = 50
"""Symbols whose whole histories are read at once: 20 years of 50 take 20 MB."""


class Actions(NamedTuple):
    """Splits and large distributions of some symbols, by place and date."""

    splits: ActionsByPlace
    distributions: ActionsByPlace

    def select(self, places: Sequence[int]) -> "Actions":
        """Return those of some places, by the place in `places`."""
        return Actions(*({new: each[old] for new, old in enumerate(places) if old in each} for each in self))


@dataclass(frozen=True)
class FoundFlags:
    """Flags found for some symbols: every bar from a symbol's first to its last date was checked.

    `symbol_ids`, `firsts` and `lasts` have one entry for each symbol, at the `place` that its flagged bars have.
    Checked bars that are not in `flagged` are not suspicious.
    """

    symbol_ids: NDArray[np.int64]
    firsts: NDArray[np.datetime64]
    lasts: NDArray[np.datetime64]
    flagged: Sequence[FlaggedBar]


@dataclass(frozen=True)
class ChangedBars:
    """Stored bars of some symbols; those from each symbol's first to its last date may have changed.

    `bars` are `place`, `date` and VALUE_COLUMNS, by place and date, as stored now: of each symbol, those that changed
    and the REACH stored ones on either side of them, or all there are; at least one. By place: the symbols' ids and
    asset classes, and the dates in `firsts` and `lasts`.
    """

    symbol_ids: NDArray[np.int64]
    asset_classes: Sequence[AssetClass]
    bars: Columns
    firsts: NDArray[np.datetime64]
    lasts: NDArray[np.datetime64]

    def compared(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return by place the rows of the first and the last bar whose flags rest on a changed one."""
        keys, places = compute_bar_keys(self.bars), np.arange(len(self.symbol_ids))
        starts, ends = (np.searchsorted(self.bars["place"], each) for each in (places, places + 1))
        first, last = (
            np.searchsorted(keys, compute_bar_keys({"place": places, "date": days}))
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
    starts = np.searchsorted(changed.bars["place"], np.arange(len(changed.symbol_ids)))
    lowest = np.minimum.reduceat(changed.bars["close"], starts)
    actions = read_actions(connection, changed.symbol_ids, lowest)
    found = find_changed_flags(changed, actions, find_flags)
    write_flags(connection, [found])
    sessions: list[set[date]] = [set() for _ in changed.symbol_ids]
    for bar in found.flagged:
        sessions[bar.place].add(bar.session)
    return [frozenset(each) for each in sessions]


def find_changed_flags(changed: ChangedBars, actions: Actions, find_flags: FindFlags) -> FoundFlags:
    """Find the flags of changed bars and of those compared with them, without the database."""
    bars = changed.bars
    first, last = changed.compared()
    row, place = np.arange(len(bars["place"])), bars["place"]
    among = (first[place] <= row) & (row <= last[place])
    flagged = find_flags(bars, changed.asset_classes, *actions, among)
    return FoundFlags(changed.symbol_ids, bars["date"][first], bars["date"][last], flagged)


def write_flags(connection: Connection, found: Sequence[FoundFlags]) -> None:
    """Store the flags of bars, and take them from the others of the same symbols and dates."""
    flagged = [{"symbol_id": int(each.symbol_ids[bar.place]), **vars(bar)} for each in found for bar in each.flagged]
    parameters = {
        "symbol_ids": format_array(np.concatenate([each.symbol_ids for each in found])),
        "firsts": format_array(np.concatenate([each.firsts for each in found])),
        "lasts": format_array(np.concatenate([each.lasts for each in found])),
        "found": json.dumps(flagged, default=str),
    }
    connection.execute(read_statement("flag_bars"), parameters)


def read_actions(connection: Connection, symbol_ids: NDArray[np.int64], lowest: NDArray[np.float64]) -> Actions:
    """Return the splits of some symbols, and those distributions that are large for one of their bars.

    Args:
        connection: to the warehouse.
        symbol_ids: the symbols; each one's place is its place here.
        lowest: each one's lowest close, in dollars.
    """
    places = {symbol_id: place for place, symbol_id in enumerate(symbol_ids.tolist())}
    parameters = {"symbol_ids": format_array(symbol_ids), "least_cash": format_array(LARGE_DISTRIBUTION * lowest)}
    splits: defaultdict[int, dict[date, float]] = defaultdict(dict)
    distributions: defaultdict[int, dict[date, float]] = defaultdict(dict)
    for row in connection.execute(read_statement("actions_of_bars"), parameters).all():
        actions = splits if row.kind == "split" else distributions
        actions[places[row.symbol_id]][row.date] = row.value
    return Actions(splits, distributions)


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
            np.array([row.id for row in rows]),
            [AssetClass(row.asset_class) for row in rows],
            {**held, "place": place},
            np.full(len(rows), np.datetime64(date.min)),
            np.full(len(rows), np.datetime64(date.max)),
        )
        flag_bars(connection, changed, find_flags)


def find_symbols_with_large(connection: Connection, distributions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the symbols for which one of some dividends may be large enough to count as a move's reason.

    Half as large is enough, as a day may have two.
    """
    changed = [
        {"symbol": each["symbol"], "ex_date": each["ex_dividend_date"], "cash": each["cash_amount"]}
        for each in distributions
    ]
    parameters = {"changed": json.dumps(changed, default=str), "share": LARGE_DISTRIBUTION / 2}
    return list(connection.scalars(read_statement("symbols_with_large_distributions"), parameters))


def reflag_all(engine: Engine, find_flags: FindFlags) -> int:
    """Update the flags of all stored bars, after the rules have changed; return the number of symbols.

    Each tracked symbol is a transaction of its own, so that loads wait for no more than one. Those of markets are some
    together: their bars change only in loads of their market, which hold the lock of names.
    """
    with engine.connect() as connection:
        names = read_names(connection, tracked_only=True)
        untracked: Sequence[int] = connection.scalars(
            _select_untracked().with_only_columns(symbol_identities.c.symbol_id)
        ).all()
    for name in names:
        with engine.begin() as connection:
            reflag_symbols(connection, [name], find_flags)
    for start in range(0, len(untracked), SYMBOLS_REFLAGGED_TOGETHER):
        chunk = untracked[start : start + SYMBOLS_REFLAGGED_TOGETHER]
        with engine.begin() as connection:
            lock_names(connection)
            rows = connection.execute(_select_untracked().where(symbol_identities.c.symbol_id.in_(chunk))).all()
            _flag_histories(connection, rows, find_flags)
    return len(names) + len(untracked)


def _select_untracked() -> Select[Any]:
    """Return the query for the symbols that a market has and that were never tracked."""
    columns = symbol_identities.c
    query = select(columns.symbol_id.label("id"), columns.symbol, columns.asset_class)
    return query.where(columns.symbol_id.not_in(select(tracked_symbols.c.id))).order_by(columns.symbol_id)
