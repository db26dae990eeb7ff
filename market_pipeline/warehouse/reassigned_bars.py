"""Stored bars that turn out to be another security's: moved out of `market_data` once the ticker history is known.

They are kept in `market_data_revisions` with the reason, so that reading as of an earlier instant gives what was stored
then. The sessions are missing afterwards, and requested under the right ticker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, delete, select

from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.warehouse.adjustment import refresh_factors
from market_pipeline.warehouse.bar_tables import bars
from market_pipeline.warehouse.flagging import FindFlags, reflag_symbols
from market_pipeline.warehouse.market_identities import give_back_bars, take_bars
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import corporate_action_inquiries
from market_pipeline.warehouse.taken_bars import take_bars_out


@dataclass(frozen=True)
class HistoryChange:
    """The ticker history by which a symbol's bars were requested, and the right one that a run found."""

    known: TickerHistory
    right: TickerHistory


@dataclass(frozen=True)
class LockedSecurity:
    """A tracked symbol whose lock is held, its id, and that of its security."""

    symbol: Symbol
    symbol_id: int
    security_id: int


def move_reassigned_bars(
    connection: Connection, security: LockedSecurity, change: HistoryChange, find_flags: FindFlags
) -> list[date]:
    """Move the bars of sessions for which another ticker was requested than is right, and return those left without.

    The connection is in a transaction that holds the locks of names and of the symbol. Where a market's sessions have
    the bars of the right ticker, or of the wrong one's security, they change places. Flags and adjustment factors of
    the bars that stay are found anew; splits and dividends count as never requested, since they were the other
    security's too.
    """
    symbol, symbol_id = security.symbol, security.symbol_id
    stored = select(bars.c.date).where(bars.c.symbol_id == symbol_id).order_by(bars.c.date)
    days: Sequence[date] = connection.scalars(stored).all()
    wrong = [day for day in days if change.known.ticker_on(day) != change.right.ticker_on(day)]
    former = {day: ticker for day in wrong if (ticker := change.known.ticker_on(day)) is not None}
    if former:
        give_back_bars(connection, symbol, symbol_id, former, find_flags)
    for ticker in dict.fromkeys(change.right.ticker_on(day) for day in wrong):
        requested = [day for day in wrong if change.right.ticker_on(day) == ticker]
        under = " and ".join(dict.fromkeys(str(change.known.ticker_on(day)) for day in requested))
        traded = f"{symbol.name} traded as {ticker} then" if ticker else f"{symbol.name} had no ticker then"
        reason = f"another security's bar, which the vendor has as {under}: {traded}"
        take_bars_out(connection, [symbol_id] * len(requested), requested, reason)
    has_taken = take_bars(connection, symbol, symbol_id, security.security_id, find_flags)
    if wrong:
        requests = corporate_action_inquiries
        connection.execute(delete(requests).where(requests.c.symbol == symbol.name))
        reflag_symbols(connection, [symbol.name], find_flags)
        connection.execute(read_statement("list_symbols"), {"symbol_ids": [symbol_id]})
    if wrong or has_taken:
        refresh_factors(connection, [symbol.name])
    now: set[date] = set(connection.scalars(stored)) if has_taken else set()
    return [day for day in wrong if day not in now]
