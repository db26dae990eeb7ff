"""Flags of a market's bars, found in memory once the bars and actions that they rest on are read.

Finding them reads nothing more, so it is done while PostgreSQL stores the bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from market_pipeline.core.bars import VALUE_COLUMNS, Columns, compute_bar_keys, make_empty_bars, select_rows
from market_pipeline.core.symbols import AssetClass
from market_pipeline.warehouse.flagging import (
    REACH,
    Actions,
    ChangedBars,
    FindFlags,
    FoundFlags,
    find_changed_flags,
    read_actions,
)
from market_pipeline.warehouse.held_bars import SymbolSpan, read_held_bars
from market_pipeline.warehouse.market_symbols import ChangedSpans, MarketSymbol
from market_pipeline.warehouse.upsert import merge_bars

SYMBOLS_FLAGGED_TOGETHER = 1_000
"""Symbols whose flags are found at once."""


@dataclass(frozen=True)
class HeldBars:
    """All stored bars of a market's symbols from a first to a last date; `place` is the symbol's id."""

    bars: Columns
    first: date
    last: date


@dataclass(frozen=True)
class FlagInputs:
    """The changed bars of some symbols, and all that their flags rest on beyond the bars in memory.

    `looked_up` are stored bars of some of the symbols; `place` is the symbol's id. `asset_classes` and the places of
    `actions` are in the order of `changes`.
    """

    changes: ChangedSpans
    asset_classes: Sequence[AssetClass]
    actions: Actions
    looked_up: Columns

    @classmethod
    def read(
        cls,
        connection: Connection,
        changes: ChangedSpans,
        symbols: Sequence[MarketSymbol],
        bars: Columns,
        held: HeldBars,
    ) -> Self:
        """Read what the flags of changed bars rest on, before the changed ones are written.

        Args:
            connection: in a transaction that holds the market's lock, and has taken the withdrawn bars out.
            changes: the changed and withdrawn bars.
            symbols: their symbols.
            bars: the bars to store; `place` is the symbol's id.
            held: the stored ones in memory.
        """
        short = _find_short(changes, symbols, held)
        ids = changes.symbol_ids[short]
        spans = list(map(SymbolSpan, ids.tolist(), changes.firsts[short].tolist(), changes.lasts[short].tolist()))
        found = read_held_bars(connection, spans, reach=REACH)[0] if spans else {**make_empty_bars(), "place": ids}
        looked_up = {**found, "place": ids[found["place"]]}
        lowest = np.full(len(changes.symbol_ids), np.inf)
        for part in (bars, held.bars, looked_up):
            place = np.searchsorted(changes.symbol_ids, part["place"]).clip(max=len(lowest) - 1)
            concerned = changes.symbol_ids[place] == part["place"]
            np.minimum.at(lowest, place[concerned], part["close"][concerned])
        actions = read_actions(connection, changes.symbol_ids, lowest)
        return cls(changes, [each.asset_class for each in symbols], actions, looked_up)

    def find_flags(self, bars: Columns, held: Columns, find_flags: FindFlags) -> list[FoundFlags]:
        """Find the flags of the changed bars and of those compared with them, without the database.

        A part of the symbols at a time, so that few bars are in memory with all that the rules derive from them.
        """
        found = []
        for start in range(0, len(self.asset_classes), SYMBOLS_FLAGGED_TOGETHER):
            ids = self.changes.symbol_ids[start : start + SYMBOLS_FLAGGED_TOGETHER]
            own = _select_symbols(bars, ids)
            for others in (held, self.looked_up):
                if len(others["date"]):
                    own = merge_bars(own, _select_symbols(others, ids))
            having_bars = find_distinct_places(own["place"])
            if len(having_bars):  # otherwise all of them were withdrawn
                rows = np.searchsorted(self.changes.symbol_ids, having_bars)
                changed = ChangedBars(
                    having_bars,
                    [self.asset_classes[row] for row in rows],
                    {**own, "place": np.searchsorted(having_bars, own["place"])},
                    self.changes.firsts[rows],
                    self.changes.lasts[rows],
                )
                found.append(find_changed_flags(changed, self.actions.select(rows.tolist()), find_flags))
        return found


def _find_short(changes: ChangedSpans, symbols: Sequence[MarketSymbol], held: HeldBars) -> NDArray[np.intp]:
    """Return the places of symbols with too few bars in memory before or after the changed ones."""
    keys, ids = compute_bar_keys(held.bars), changes.symbol_ids
    starts = np.searchsorted(held.bars["place"], ids)
    ends = np.searchsorted(held.bars["place"], ids, side="right")
    before = np.searchsorted(keys, compute_bar_keys({"place": ids, "date": changes.firsts})) - starts
    after = ends - np.searchsorted(keys, compute_bar_keys({"place": ids, "date": changes.lasts}), side="right")
    earlier = np.array([each.first is not None and each.first < held.first for each in symbols])
    later = np.array([each.last is not None and each.last > held.last for each in symbols])
    return np.flatnonzero((earlier & (before < REACH)) | (later & (after < REACH)))


def _select_symbols(bars: Columns, ids: NDArray[Any]) -> Columns:
    """Return the bars of some symbols, ids in order, with the columns that the rules need."""
    rows = slice(np.searchsorted(bars["place"], ids[0]), np.searchsorted(bars["place"], ids[-1], side="right"))
    found = {name: bars[name][rows] for name in ("place", "date", *VALUE_COLUMNS)}
    concerned = np.isin(found["place"], ids)
    return found if concerned.all() else select_rows(found, concerned)


def find_distinct_places(places: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct places of bars that are in the order of their places."""
    return places[np.flatnonzero(np.diff(places, prepend=-1))]


def find_spans(*parts: Columns) -> ChangedSpans:
    """Return the first and the last of each symbol's bars among all parts."""
    joined = {name: np.concatenate([each[name] for each in parts]) for name in ("place", "date")}
    changed = select_rows(joined, np.argsort(compute_bar_keys(joined), kind="stable"))
    ids = find_distinct_places(changed["place"])
    starts = np.searchsorted(changed["place"], ids)
    ends = np.searchsorted(changed["place"], ids, side="right")
    return ChangedSpans(ids, changed["date"][starts], changed["date"][ends - 1])
