"""Bars of symbols that aren't tracked, moved to the right security once more is known of a ticker.

A tracked symbol's ticker history takes the bars of its days from the symbols that a market's sessions had made for its
tickers, and gives back those of other days. An entry of the vendor's list that was delisted splits a symbol whose bars
go on long after: the ticker was reused. Moved bars are kept as earlier versions with the reason.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from market_pipeline.core.markets import MARKETS, Market
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerSource
from market_pipeline.warehouse.bar_tables import bars, symbol_identities
from market_pipeline.warehouse.flagging import FindFlags, reflag_symbols
from market_pipeline.warehouse.loads import ensure_load
from market_pipeline.warehouse.market_records import MarketRun
from market_pipeline.warehouse.market_symbols import DAY, NO_SPANS, MarketSymbols
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import market_loads, securities, security_tickers
from market_pipeline.warehouse.taken_bars import explain_taken_bars


def give_back_bars(
    connection: Connection, symbol: Symbol, symbol_id: int, tickers: Mapping[date, str], find_flags: FindFlags
) -> None:
    """Give a tracked symbol's bars of some days to those who had the tickers, where a market's session brought them.

    Args:
        connection: in a transaction that holds the locks of names and of the symbol.
        symbol: the tracked symbol, whose present ticker history is stored.
        symbol_id: its id.
        tickers: the ticker that each of the days' bars was requested by.
        find_flags: finds the suspicious bars.
    """
    market = _find_market(connection, symbol.calendar)
    if market is None:
        return
    loaded = select(market_loads.c.date).where(market_loads.c.market == market.name, market_loads.c.success)
    of_market: set[date] = set(connection.scalars(loaded.where(market_loads.c.date.in_(tickers))))
    given = {day: ticker for day, ticker in tickers.items() if day in of_market}
    symbols = MarketSymbols(connection, market)
    for ticker in dict.fromkeys(given.values()):
        days = [day for day, each in given.items() if each == ticker]
        symbols.add({ticker: days})
        holders = symbols.find([ticker], days).ids[0].tolist()
        for holder in dict.fromkeys(holders):
            own = [day for day, each in zip(days, holders, strict=True) if each == holder]
            _move(connection, symbol_id, holder, own, f"a bar of {symbols.by_id[holder].name}")
            _refresh(connection, symbols, [holder], [ticker], find_flags)


def take_bars(connection: Connection, symbol: Symbol, symbol_id: int, security_id: int, find_flags: FindFlags) -> bool:
    """Take the bars of a tracked symbol's ticker periods from symbols that aren't tracked; return True if any.

    Their periods are shortened, and those without a day left deleted.
    """
    market = _find_market(connection, symbol.calendar)
    if market is None:
        return False
    parameters = {"security_id": security_id, "calendar": symbol.calendar}
    overlapping = connection.execute(read_statement("overlapping_periods"), parameters).all()
    if not overlapping:
        return False
    symbols = MarketSymbols(connection, market)
    for row in overlapping:
        stored = select(bars.c.date).where(bars.c.symbol_id == row.symbol_id, bars.c.date.between(row.first, row.last))
        days: Sequence[date] = connection.scalars(stored).all()
        _move(connection, row.symbol_id, symbol_id, days, f"a bar of {symbol.name}")
    for period_id in dict.fromkeys(row.period_id for row in overlapping):
        _shorten_period(connection, [row for row in overlapping if row.period_id == period_id])
    _refresh(
        connection,
        symbols,
        list(dict.fromkeys([symbol_id, *(row.symbol_id for row in overlapping)])),
        list(dict.fromkeys(row.ticker for row in overlapping)),
        find_flags,
    )
    for row in overlapping:
        _delete_unused(connection, row.symbol_id, row.security_id)
    return True


def split_reused_tickers(connection: Connection, market: Market, run: MarketRun, find_flags: FindFlags) -> bool:
    """Split the symbols whose ticker the vendor's list says was delisted long before their last bar.

    Returns:
        True if there were any, so that bars have moved.
    """
    was_split = False
    while rows := connection.execute(read_statement("reused_tickers"), {"market": market.name}).all():
        was_split = True
        ensure_load(connection, run.run_id, run.source)
        for row in rows:
            period = security_tickers.c.id == row.period_id
            connection.execute(update(security_tickers).where(period).values(last_day=row.delisted_on))
            later = bars.c.date > row.delisted_on
            stored = select(bars.c.date).where(bars.c.symbol_id == row.symbol_id, later)
            days: Sequence[date] = connection.scalars(stored.order_by(bars.c.date)).all()
            symbols = MarketSymbols(connection, market)
            symbols.add({row.ticker: days[:1]})
            holder = int(symbols.find([row.ticker], days[:1]).ids[0, 0])
            reason = f"a bar of another security: the one before was delisted on {row.delisted_on}"
            _move(connection, row.symbol_id, holder, days, reason)
            _refresh(connection, symbols, [row.symbol_id, holder], [row.ticker], find_flags)
    return was_split


def _find_market(connection: Connection, calendar: str) -> Market | None:
    """Return the market of a calendar, if any of its sessions was ever loaded."""
    for market in MARKETS.values():
        if market.calendar == calendar and connection.scalar(
            select(exists().where(market_loads.c.market == market.name))
        ):
            return market
    return None


def _move(connection: Connection, from_id: int, to_id: int, days: Sequence[date], reason: str) -> None:
    if days:
        moved = {"from_id": from_id, "to_id": to_id, "dates": list(days)}
        connection.execute(read_statement("move_bars"), moved)
        explain_taken_bars(connection, [from_id] * len(days), days, reason)


def _refresh(
    connection: Connection,
    symbols: MarketSymbols,
    symbol_ids: Sequence[int],
    tickers: Sequence[str],
    find_flags: FindFlags,
) -> None:
    """Bring the listings, names and flags of symbols up to date whose bars have moved."""
    symbols.refresh(NO_SPANS, np.array(symbol_ids), tickers)
    reflag_symbols(connection, [symbols.by_id[each].name for each in symbol_ids], find_flags)


def _shorten_period(connection: Connection, overlaps: Sequence[Row]) -> None:  # type: ignore[type-arg]
    """Take the days out of a ticker period that are another security's."""
    [row, *_] = overlaps
    left = [(row.first_day or date.min, row.last_day or date.max)]
    for each in overlaps:
        before = [(first, min(last, each.first - DAY)) for first, last in left if first < each.first]
        after = [(max(first, each.last + DAY), last) for first, last in left if each.last < last]
        left = [*before, *after]
    periods = security_tickers.c
    connection.execute(delete(security_tickers).where(periods.id == row.period_id))
    for first, last in left:
        values = {
            "security_id": row.security_id,
            "ticker": row.ticker,
            "first_day": None if first == date.min else first,
            "last_day": None if last == date.max else last,
            "source": TickerSource.ASSUMED,
            "certain": False,
        }
        connection.execute(insert(security_tickers).values(values))


def _delete_unused(connection: Connection, symbol_id: int, security_id: int) -> None:
    """Delete a symbol that has neither a ticker nor a bar left, and its security."""
    has_ticker = exists().where(security_tickers.c.security_id == security_id)
    has_bar = exists().where(bars.c.symbol_id == symbol_id)
    if not connection.scalar(select(has_ticker | has_bar)):
        connection.execute(delete(symbol_identities).where(symbol_identities.c.symbol_id == symbol_id))
        connection.execute(delete(securities).where(securities.c.id == security_id))
