"""Flags of a market's bars, and its tracked symbols' adjustment factors, brought up to date after bars have changed."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from market_pipeline.core.bars import VALUE_COLUMNS, Columns, bar_keys, select_rows
from market_pipeline.warehouse.adjustment import refresh_factors_after_load
from market_pipeline.warehouse.flagging import REACH, ChangedBars, FindFlags, flag_bars
from market_pipeline.warehouse.held_bars import SymbolSpan, read_held_bars
from market_pipeline.warehouse.market_symbols import ChangedSpans, MarketSymbol
from market_pipeline.warehouse.upsert import Rows, merge_bars

SYMBOLS_FLAGGED_TOGETHER = 1_000
"""Symbols whose flags are found at once."""


class MarketFlags:
    """The flags of a market's symbols in one transaction.

    Args:
        connection: in a transaction that holds the market's lock.
        by_id: the market's symbols by id.
        first: the first session of the stored bars that are given; earlier ones are looked up where they are needed.
        last: the last one.
    """

    def __init__(self, connection: Connection, by_id: Mapping[int, MarketSymbol], first: date, last: date) -> None:
        self._connection, self._by_id, self._first, self._last = connection, by_id, first, last

    def update(self, changes: ChangedSpans, bars: Columns, held: Columns, find_flags: FindFlags) -> None:
        """Bring the flags of changed bars, and the factors of tracked symbols, up to date.

        A part of the symbols at a time, so that few bars are in memory with all that the rules derive from them.
        """
        ids, firsts, lasts = changes.symbol_ids, changes.firsts, changes.lasts
        symbols = [self._by_id[each] for each in ids.tolist()]
        tracked = {each.name: first for each, first in zip(symbols, firsts.tolist(), strict=True) if each.is_tracked}
        if tracked:
            refresh_factors_after_load(self._connection, tracked)
        for start in range(0, len(ids), SYMBOLS_FLAGGED_TOGETHER):
            part = slice(start, start + SYMBOLS_FLAGGED_TOGETHER)
            own = merge_bars(_of_places(bars, ids[part]), _of_places(held, ids[part]))
            is_changed = np.isin(own["place"], ids[part])
            own = own if is_changed.all() else select_rows(own, is_changed)
            concerned = {**own, "place": np.searchsorted(ids[part], own["place"])}
            self._flag_part(ids[part], symbols[part], concerned, firsts[part], lasts[part], find_flags)

    def _flag_part(
        self,
        ids: NDArray[Any],
        symbols: Sequence[MarketSymbol],
        bars: Columns,
        firsts: NDArray[Any],
        lasts: NDArray[Any],
        find_flags: FindFlags,
    ) -> None:
        short = self._find_short(symbols, bars, firsts, lasts)
        if len(short):
            spans = list(map(SymbolSpan, ids[short].tolist(), firsts[short].tolist(), lasts[short].tolist()))
            looked_up, _ = read_held_bars(self._connection, spans, reach=REACH)
            others = select_rows(bars, ~np.isin(bars["place"], short))
            own = {**looked_up, "place": short[looked_up["place"]]}
            joined = {name: np.concatenate([others[name], own[name]]) for name in own}
            bars = select_rows(joined, np.argsort(bar_keys(joined), kind="stable"))
        having_bars = distinct_places(bars["place"])
        if len(having_bars):
            place = bars["place"] if len(having_bars) == len(ids) else np.searchsorted(having_bars, bars["place"])
            changes = ChangedBars(
                [symbols[each].symbol for each in having_bars],
                ids[having_bars].tolist(),
                {"place": place, **{name: bars[name] for name in ("date", *VALUE_COLUMNS)}},
                firsts[having_bars].tolist(),
                lasts[having_bars].tolist(),
            )
            flag_bars(self._connection, changes, find_flags)

    def _find_short(
        self, symbols: Sequence[MarketSymbol], bars: Columns, firsts: NDArray[Any], lasts: NDArray[Any]
    ) -> NDArray[np.intp]:
        """Return the places of the symbols of whose bars before or after the changed ones too few are among `bars`."""
        places = np.arange(len(symbols))
        keys = bar_keys(bars)
        starts, ends = (np.searchsorted(bars["place"], each) for each in (places, places + 1))
        before = np.searchsorted(keys, bar_keys({"place": places, "date": firsts})) - starts
        after = ends - np.searchsorted(keys, bar_keys({"place": places, "date": lasts}), side="right")
        earlier = np.array([each.first is not None and each.first < self._first for each in symbols])
        later = np.array([each.last is not None and each.last > self._last for each in symbols])
        return np.flatnonzero((earlier & (before < REACH)) | (later & (after < REACH)))


def _of_places(bars: Columns, places: NDArray[Any]) -> Columns:
    """Return the bars from the first of some places to the last, with the columns that the rules need."""
    rows = slice(np.searchsorted(bars["place"], places[0]), np.searchsorted(bars["place"], places[-1], side="right"))
    return {name: bars[name][rows] for name in ("place", "date", *VALUE_COLUMNS)}


def distinct_places(places: NDArray[Any]) -> NDArray[Any]:
    """Return the places that bars in order have, each once."""
    return places[np.flatnonzero(np.diff(places, prepend=-1))]


def find_changed_spans(bars: Columns, is_changed: Rows, withdrawn: Columns) -> ChangedSpans:
    """Return the first and the last of each symbol's changed bars, stored or withdrawn ones."""
    joined = {name: np.concatenate([bars[name][is_changed], withdrawn[name]]) for name in ("place", "date")}
    changed = select_rows(joined, np.argsort(bar_keys(joined), kind="stable"))
    ids = distinct_places(changed["place"])
    starts = np.searchsorted(changed["place"], ids)
    ends = np.append(starts[1:], len(changed["date"])) - 1
    return ChangedSpans(ids, changed["date"][starts], changed["date"][ends], withdrawn["place"])
