"""Stored bars of a market's newest sessions, kept in memory from one load of a run to the next.

The rules need them again for the sessions that follow. Any change of bars, by whomever, moves the settled point: so as
long as it is that of the load that left these bars, they are what is stored.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from sqlalchemy import Connection, exists, select

from market_pipeline.core.bars import Columns, compute_bar_keys, select_rows
from market_pipeline.warehouse.bar_tables import loads, settled
from market_pipeline.warehouse.held_bars import read_bars_between

DAY = timedelta(days=1)


class RecentBars:
    """The bars from a first to a last day that a load has left, of all symbols of a market."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Keep no bars."""
        self._parts: Sequence[Columns] = ()
        self._load_id: int | None = None
        self._first, self._last = date.max, date.min

    def keep(self, load_id: int, first: date, last: date, parts: Sequence[Columns]) -> None:
        """Keep all bars from the first to the last day, in any order, as the load leaves them."""
        self._load_id, self._first, self._last, self._parts = load_id, first, last, parts

    def take(self, connection: Connection, symbol_ids: Sequence[int], first: date, last: date) -> Columns:
        """Return the stored bars of a market's symbols from the first to the last day; read those not kept.

        Keeps none of them.

        Args:
            connection: in a transaction that holds the market's locks.
            symbol_ids: all of the market.
            first: first day.
            last: last day, not before the last one kept.

        Returns:
            `place` (the symbol's id), `date` and VALUE_COLUMNS, by place and date.
        """
        parts: list[Columns] = []
        unread = first
        if self._first <= first <= self._last and self._is_stored(connection):
            parts = [select_rows(each, each["date"] >= np.datetime64(first)) for each in self._parts]
            unread = self._last + DAY
        self.forget()
        read = read_bars_between(connection, unread, last)
        of_market = np.isin(read["place"], np.array(symbol_ids, dtype=np.int64))
        parts.append(read if of_market.all() else select_rows(read, of_market))
        order = np.argsort(np.concatenate([compute_bar_keys(each) for each in parts]), kind="stable")
        # Column by column, as a market's may take 50 MB.
        return {name: np.concatenate([each[name] for each in parts])[order] for name in read}

    def _is_stored(self, connection: Connection) -> bool:
        """Return True if nothing was changed since the load that left the bars."""
        left = select(loads).where(
            loads.c.id == self._load_id, loads.c.point == select(settled.c.point).scalar_subquery()
        )
        return bool(connection.scalar(select(exists(left.subquery()))))
