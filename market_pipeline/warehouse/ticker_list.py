"""The vendor's own list of a market's tickers in the table `reference_tickers`, replaced as a whole."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.markets import Market
from market_pipeline.warehouse.tables import reference_tickers

SMALLEST_SHARE = 0.8
"""Share of the stored entries that a new list has to have; a smaller one was cut off under load."""


class IncompleteListError(MarketPipelineError):
    """The vendor's list has far fewer entries than the one before."""


@dataclass(frozen=True)
class ListedTicker:
    """An entry of the list: a ticker that is listed, or was until `delisted_on`. None: the vendor gives nothing."""

    ticker: str
    delisted_on: date | None
    name: str | None
    type: str | None
    primary_exchange: str | None
    composite_figi: str | None


def store_ticker_list(engine: Engine, market: Market, entries: Sequence[ListedTicker]) -> int:
    """Replace a market's list, and return the number of its entries.

    Raises:
        IncompleteListError: it has far fewer entries than the one before, which stays.
    """
    rows = {(entry.ticker, entry.delisted_on): {"market": market.name, **asdict(entry)} for entry in entries}
    row = upsert(reference_tickers).values(fetched_at=func.now())
    changed = {
        name: row.excluded[name] for name in ("name", "type", "primary_exchange", "composite_figi", "fetched_at")
    }
    own = reference_tickers.c.market == market.name
    with engine.begin() as connection:
        _check_complete(connection, market, len(rows))
        if rows:
            connection.execute(
                row.on_conflict_do_update(index_elements=["market", "ticker", "delisted_on"], set_=changed),
                list(rows.values()),
            )
        connection.execute(delete(reference_tickers).where(own, reference_tickers.c.fetched_at < func.now()))
    return len(rows)


def _check_complete(connection: Connection, market: Market, number: int) -> None:
    own = reference_tickers.c.market == market.name
    stored: int = connection.execute(select(func.count()).where(own)).scalar_one()
    if number < SMALLEST_SHARE * stored:
        raise IncompleteListError(
            f"the vendor's list of {market.title} has {number:,} tickers, and {stored:,} are stored: the stored list "
            f"stays; try again with `market-pipeline market refresh-list {market.option}`"
        )


def read_list_time(engine: Engine, market: Market) -> datetime | None:
    """Return the time at which a market's list was last fetched; None if never."""
    newest = select(func.max(reference_tickers.c.fetched_at)).where(reference_tickers.c.market == market.name)
    with engine.connect() as connection:
        fetched_at: datetime | None = connection.scalar(newest)
    return fetched_at
