"""Who a symbol is at the vendor: whether it knows the symbol, still lists it, or has renamed it; asked and stored.

Which symbols are tracked is `warehouse.tracked_symbols`' business, and what a delisting means for a run `ingest`'s.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

from sqlalchemy import Engine

from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.reference import Ticker, TickerChange
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.warehouse.tracked_symbols import Reference, record_reference

log = logging.getLogger(__name__)

ASSET_CLASSES = {
    **dict.fromkeys(("CS", "ADRC", "ADRP", "ADRR", "GDR", "NYRS", "OS", "PFD", "RIGHT", "UNIT"), AssetClass.STOCK),
    **dict.fromkeys(("ETF", "ETN", "ETS", "ETV", "FUND"), AssetClass.ETF),
}
"""What the vendor's type codes are here, where that can be told. Source: its list of ticker types."""

CANDIDATES = 3
"""How many of the companies that a search by name finds are asked whether they had the former ticker."""


def look_up(client: PolygonClient, symbol: Symbol) -> Reference:
    """Ask the vendor who a symbol is.

    Raises:
        UnknownTickerError: it knows no such ticker; the message names the nearest ones.
        PolygonError: there is no usable answer.
    """
    ticker = client.ticker(symbol)
    change = None if ticker.active else _renaming(client, symbol, ticker)
    ended = ticker.delisted or (change.date - timedelta(days=1) if change else None)
    return Reference(
        name=ticker.name,
        vendor_type=ticker.kind,
        primary_exchange=ticker.primary_exchange,
        listed=ticker.active,
        delisted_on=None if ticker.active else ended,
        renamed_to=change.ticker if change else None,
    )


def refresh(client: PolygonClient, warehouse: Engine, symbol: Symbol) -> Reference:
    """Ask the vendor who a tracked symbol is, store that and return it.

    Raises:
        UnknownTickerError: it knows no such ticker; what was stored stays.
        PolygonError: there is no usable answer; what was stored stays.
    """
    reference = look_up(client, symbol)
    record_reference(warehouse, symbol, reference)
    return reference


def asset_class_of(reference: Reference) -> AssetClass | None:
    """The asset class that the vendor's type stands for; None where it can't be told."""
    return ASSET_CLASSES.get(reference.vendor_type or "")


def _renaming(client: PolygonClient, symbol: Symbol, ticker: Ticker) -> TickerChange | None:
    """The change that ended a ticker, if its company trades on under another.

    The vendor tells a company's changes by the ticker it has now, so that the company is looked for by its name, and
    only its own changes count as an answer.
    """
    if symbol.asset_class is AssetClass.CRYPTO or not ticker.name:
        return None
    try:
        for successor in _equities(client.search_tickers(ticker.name, symbol.asset_class)[:CANDIDATES]):
            for former, change in pairwise(client.ticker_changes(successor)):
                if former.ticker == ticker.ticker:
                    return change
    except PolygonError as error:
        # The endpoint is experimental, and a delisting is worth knowing without what came after.
        log.warning("%s: can't tell whether it was renamed: %s", symbol.name, error)
    return None


def _equities(found: list[Ticker]) -> Iterator[Symbol]:
    for ticker in found:
        with suppress(SymbolError):
            yield Symbol.of(ticker.ticker, AssetClass.STOCK)
