"""The vendor's own list of a market's tickers, from its reference data into the warehouse.

The list lacks thousands of tickers that its bars have: so no bar depends on it, and it only adds names, types and
exchanges where it knows them.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from market_pipeline.core.markets import Market
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.warehouse.ticker_list import ListedTicker, read_list_time, store_ticker_list

log = logging.getLogger(__name__)

REFRESHED_AFTER = timedelta(days=6, hours=12)
"""Age from which on a night refreshes the list: so once a week, at the same hour."""


@dataclass(frozen=True)
class ListResult:
    """Result of a refresh: numbers of tickers that are listed and that were delisted, and of requests."""

    listed: int
    delisted: int
    requests: int


def refresh_list(client: PolygonClient, warehouse: Engine, market: Market) -> ListResult:
    """Fetch the list of a market's tickers, those delisted included, and store it in place of the former one.

    Raises:
        PolygonError: there is no usable response.
        IncompleteListError: it has far fewer entries than the former one, which stays.
    """
    listed, delisted = (client.fetch_ticker_list(market, active=active) for active in (True, False))
    entries = [
        ListedTicker(each.ticker, each.delisted, each.name, each.kind, each.primary_exchange, each.composite_figi)
        for each in (*listed.tickers, *delisted.tickers)
        if each.active or each.delisted is not None  # else it isn't known which holder of the ticker that was
    ]
    store_ticker_list(warehouse, market, entries)
    requests = listed.requests + delisted.requests
    log.info("Stored the vendor's list of %s: %d tickers, %d requests", market.title, len(entries), requests)
    return ListResult(len(listed.tickers), len(delisted.tickers), requests)


def is_list_old(warehouse: Engine, market: Market) -> bool:
    """Return True if a market's list was never fetched, or is a week old."""
    fetched_at = read_list_time(warehouse, market)
    return fetched_at is None or datetime.now(UTC) - fetched_at > REFRESHED_AFTER
