"""Symbols of a market: who had a ticker on a session, and new symbols for tickers that nobody had.

On a session a ticker is the security whose ticker period covers it, a tracked symbol's before any other. A ticker
without one becomes a new security and a symbol that isn't tracked, by the days that no other security had the ticker.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, collate, select

from market_pipeline.core.markets import Market
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.warehouse.statements import format_array, read_statement
from market_pipeline.warehouse.tables import tracked_symbols
from market_pipeline.warehouse.tracked_symbols import lock_names

DAY = timedelta(days=1)


@dataclass(slots=True)
class MarketSymbol:
    """A symbol of a market, by its id in symbol_identities.

    `first` and `last` are its first and last session with a bar; None while nothing is known of its bars.
    """

    id: int
    name: str
    asset_class: AssetClass
    is_tracked: bool = False
    is_active: bool = False
    delisted_on: date | None = None
    first: date | None = None
    last: date | None = None

    @property
    def symbol(self) -> Symbol:
        """The symbol; the name of one that isn't tracked may be none that could be."""
        return Symbol(self.name, self.asset_class)


class TickerHolder(NamedTuple):
    """The days on which a symbol has a ticker, the last included."""

    first: date
    last: date
    symbol_id: int
    is_tracked: bool

    def covers(self, day: date) -> bool:
        """Return True if the symbol has the ticker on that day."""
        return self.first <= day <= self.last


@dataclass(frozen=True)
class TickerSymbols:
    """The symbols of some tickers (rows) on some sessions (columns), by id; 0 where there is none.

    `others` are further tracked symbols of the same ticker and session: row, column, id.
    """

    ids: NDArray[np.int32]
    others: Sequence[tuple[int, int, int]]


@dataclass(frozen=True)
class ChangedSpans:
    """The dates of the first and the last changed bar of some symbols, by id, in order."""

    symbol_ids: NDArray[Any]
    firsts: NDArray[Any]
    lasts: NDArray[Any]


NO_SPANS = ChangedSpans(np.array([], "int64"), np.array([], "datetime64[D]"), np.array([], "datetime64[D]"))


class MarketSymbols:
    """All symbols of a market, in a transaction that keeps others from adding and renaming any."""

    def __init__(self, connection: Connection, market: Market) -> None:
        self.by_id: dict[int, MarketSymbol] = {}
        self._holders: defaultdict[str, list[TickerHolder]] = defaultdict(list)
        self._connection, self._market = connection, market
        classes = {str(each): each for each in AssetClass}
        # All at once, as fetching each by itself takes several times as long.
        rows: Iterable[Any] = connection.execute(read_statement("market_symbols"), {"calendar": market.calendar}).all()
        for row in rows:
            # Unpacked, as a row's attributes take several times as long, and there are 11,000 rows in each block.
            symbol_id, name, kind, is_tracked, is_active, delisted_on, ticker, first_day, last_day, first, last = row
            if symbol_id not in self.by_id:
                self.by_id[symbol_id] = MarketSymbol(
                    symbol_id, name, classes[kind], is_tracked, is_active, delisted_on, first, last
                )
            if ticker is not None:
                holder = TickerHolder(first_day or date.min, last_day or date.max, symbol_id, is_tracked)
                self._holders[ticker].append(holder)
        self._shared = {ticker for ticker, holders in self._holders.items() if len(holders) > 1}

    @property
    def tracked(self) -> list[MarketSymbol]:
        """The tracked symbols, those included that no longer are."""
        return [each for each in self.by_id.values() if each.is_tracked]

    @property
    def unlisted(self) -> list[int]:
        """The ids of symbols without a listing: no session of the market had them yet, but they may have bars."""
        return [each.id for each in self.by_id.values() if each.first is None]

    def find(self, tickers: Sequence[str], days: Sequence[date]) -> TickerSymbols:
        """Return the symbols of some tickers on some days."""
        ids = np.zeros((len(tickers), len(days)), dtype=np.int32)
        others = []
        for row, ticker in enumerate(tickers):
            holders = self._holders.get(ticker, ())
            if len(holders) == 1:  # as most are
                [(first, last, symbol_id, _)] = holders
                if first <= days[0] and days[-1] <= last:
                    ids[row] = symbol_id
                    continue
            for column, day in enumerate(days if holders else ()):
                covering = [each for each in holders if each.covers(day)]
                tracked = [each for each in covering if each.is_tracked] or covering[:1]
                if tracked:
                    ids[row, column] = tracked[0].symbol_id
                    others += [(row, column, each.symbol_id) for each in tracked[1:]]
        return TickerSymbols(ids, others)

    def find_shared(self, tickers: Iterable[str]) -> list[str]:
        """Return those of some tickers that several securities had when this was read."""
        return [*filter(self._shared.__contains__, tickers)]

    def add(self, traded: Mapping[str, Iterable[date]]) -> None:
        """Add symbols for tickers that nobody had on days on which they traded, given the days by ticker."""
        missing: dict[tuple[str, date], TickerHolder] = {}
        for ticker, days in traded.items():
            holders = [*self._holders.get(ticker, ())]
            for day in days:
                if not any(each.covers(day) for each in holders):
                    first = max((each.last + DAY for each in holders if each.last < day), default=date.min)
                    last = min((each.first - DAY for each in holders if each.first > day), default=date.max)
                    holders.append(TickerHolder(first, last, 0, is_tracked=False))
                    missing[ticker, first] = holders[-1]
        parameters = {
            "calendar": self._market.calendar,
            "asset_class": self._market.asset_class,
            "tickers": [ticker for ticker, _ in missing],
            "first_days": [None if first == date.min else first for _, first in missing],
            "last_days": [None if each.last == date.max else each.last for each in missing.values()],
        }
        for row in self._connection.execute(read_statement("add_market_symbols"), parameters):
            holder = missing[row.ticker, row.first_day or date.min]._replace(symbol_id=row.symbol_id)
            self._holders[row.ticker].append(holder)
            self.by_id[row.symbol_id] = MarketSymbol(row.symbol_id, row.ticker, self._market.asset_class)

    def find_unlisted(self, stored: ChangedSpans) -> ChangedSpans:
        """Return those of some spans that the symbol's listing does not cover, or whose symbol has none."""
        firsts, lasts = stored.firsts.tolist(), stored.lasts.tolist()
        rows = []
        for row, symbol_id in enumerate(stored.symbol_ids.tolist()):
            symbol = self.by_id[symbol_id]
            if symbol.first is None or symbol.last is None or firsts[row] < symbol.first or symbol.last < lasts[row]:
                rows.append(row)
        return ChangedSpans(stored.symbol_ids[rows], stored.firsts[rows], stored.lasts[rows])

    def refresh(self, stored: ChangedSpans, having_lost: NDArray[Any], tickers: Sequence[str]) -> None:
        """Bring listings of symbols and names under tickers up to date.

        Args:
            stored: spans of bars that are stored, or will be in this transaction, beyond the listings.
            having_lost: the ids of the symbols whose bars were taken out.
            tickers: those whose symbols may get another name.
        """
        emptied = np.setdiff1d(having_lost, stored.symbol_ids)
        no_days = np.full(len(emptied), "NaT", dtype="datetime64[D]")
        symbol_ids = np.concatenate([stored.symbol_ids, emptied])
        parameters = {
            "market": self._market.name,
            "symbol_ids": format_array(symbol_ids),
            "firsts": format_array(np.concatenate([stored.firsts, no_days])),
            "lasts": format_array(np.concatenate([stored.lasts, no_days])),
            "looked_up": format_array(np.isin(symbol_ids, having_lost)),
        }
        listed: Iterable[Any] = self._connection.execute(read_statement("refresh_listings"), parameters).all()
        for symbol_id, first, last in listed:
            symbol = self.by_id[symbol_id]
            symbol.first, symbol.last = first, last
        naming = {"calendar": self._market.calendar, "tickers": list(tickers)}
        for row in self._connection.execute(read_statement("name_market_symbols"), naming) if tickers else ():
            self.by_id[row.symbol_id].name = row.symbol


def lock_market(connection: Connection, market: Market) -> None:
    """Hold the locks of names and of a market's tracked symbols until the transaction ends."""
    lock_names(connection)
    of_market = select(tracked_symbols.c.id).where(tracked_symbols.c.calendar == market.calendar)
    connection.execute(of_market.order_by(collate(tracked_symbols.c.symbol, "C")).with_for_update())
