"""Stored bars that turn out to be another security's: moved out of `market_data` once the ticker history is known.

They are kept in `market_data_revisions` with the reason, so that reading as of an earlier instant gives what was stored
then. The sessions are missing afterwards, and requested under the right ticker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, delete, select

from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.warehouse.adjustment import refresh_factors
from market_pipeline.warehouse.flagging import FindFlags, reflag_symbols
from market_pipeline.warehouse.statements import statement
from market_pipeline.warehouse.tables import corporate_action_inquiries, market_data


@dataclass(frozen=True)
class HistoryChange:
    """The ticker history by which a symbol's bars were requested, and the right one that a run found."""

    known: TickerHistory
    right: TickerHistory
    at: datetime
    run_id: str


def move_reassigned_bars(
    connection: Connection, symbol: Symbol, change: HistoryChange, find_flags: FindFlags
) -> list[date]:
    """Move the bars of sessions for which another ticker was requested than is right, and return those sessions.

    The connection is in a transaction that holds the symbol's lock. Flags and adjustment factors of the bars that stay
    are found anew; splits and dividends count as never requested, since they were the other security's too.
    """
    stored = select(market_data.c.date).where(market_data.c.symbol == symbol.name).order_by(market_data.c.date)
    days: Sequence[date] = connection.scalars(stored).all()
    wrong = [day for day in days if change.known.ticker_on(day) != change.right.ticker_on(day)]
    for ticker in dict.fromkeys(change.right.ticker_on(day) for day in wrong):
        requested = [day for day in wrong if change.right.ticker_on(day) == ticker]
        under = " and ".join(dict.fromkeys(str(change.known.ticker_on(day)) for day in requested))
        traded = f"it traded as {ticker} then" if ticker else "it had no ticker then"
        parameters = {
            "symbol": symbol.name,
            "dates": requested,
            "reason": f"a bar of another security, from the vendor's {under}: {traded}",
            "at": change.at,
            "run_id": change.run_id,
        }
        connection.execute(statement("move_reassigned_bars"), parameters)
    if wrong:
        requests = corporate_action_inquiries
        connection.execute(delete(requests).where(requests.c.symbol == symbol.name))
        reflag_symbols(connection, [symbol.name], find_flags)
        refresh_factors(connection, [symbol.name])
    return wrong
