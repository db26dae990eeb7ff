"""Reference data of symbols at the vendor: their names, delistings and renamings.

`security_lookup` stores them; `ingest` knows the effect of a delisting on a run.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.reference import Ticker, TickerChange
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.warehouse.tracked_symbols import Reference

log = logging.getLogger(__name__)

ASSET_CLASSES = {
    **dict.fromkeys(("CS", "ADRC", "ADRP", "ADRR", "GDR", "NYRS", "OS", "PFD", "RIGHT", "UNIT"), AssetClass.STOCK),
    **dict.fromkeys(("ETF", "ETN", "ETS", "ETV", "FUND"), AssetClass.ETF),
}
"""Asset classes of the vendor's type codes. Source: its list of ticker types."""

CANDIDATES = 3
"""Companies found by name that are checked for the former ticker."""


def fetch_reference(client: PolygonClient, symbol: Symbol) -> Reference:
    """Fetch a symbol's reference data from the vendor.

    Raises:
        UnknownTickerError: it knows no such ticker; the message names the nearest ones.
        PolygonError: there is no usable response.
    """
    ticker = client.fetch_ticker(symbol)
    change = None if ticker.active else find_renaming(client, symbol, ticker)
    ended = ticker.delisted or (change.date - timedelta(days=1) if change else None)
    return Reference(
        name=ticker.name,
        vendor_type=ticker.kind,
        primary_exchange=ticker.primary_exchange,
        listed=ticker.active,
        delisted_on=None if ticker.active else ended,
        renamed_to=change.ticker if change else None,
    )


def find_asset_class(reference: Reference) -> AssetClass | None:
    """Return the asset class that the vendor's type stands for; None if it is ambiguous."""
    return ASSET_CLASSES.get(reference.vendor_type or "")


def find_renaming(client: PolygonClient, symbol: Symbol, ticker: Ticker) -> TickerChange | None:
    """Return the change that ended a ticker, if its company trades on under another.

    The vendor lists a company's changes under its present ticker, so the company is searched by name, and only its own
    changes count.
    """
    if symbol.asset_class is AssetClass.CRYPTO or not ticker.name:
        return None
    try:
        for successor in _list_equities(client.search_tickers(ticker.name, symbol.asset_class)[:CANDIDATES]):
            for former, change in pairwise(client.fetch_ticker_events(successor).changes):
                if former.ticker == ticker.ticker:
                    return change
    except PolygonError as error:
        # The endpoint is experimental, and a delisting is worth knowing without the renaming.
        log.warning("%s: can't tell whether it was renamed: %s", symbol.name, error)
    return None


def _list_equities(found: list[Ticker]) -> Iterator[Symbol]:
    for ticker in found:
        with suppress(SymbolError):
            yield Symbol.of(ticker.ticker, AssetClass.STOCK)
