"""Explanations of responses without any bar: the reason, or an error if nothing explains it.

The vendor responds alike, with nothing, to a mistyped ticker and to one that wasn't listed yet.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from sqlalchemy import Engine

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.warehouse.load_history import LoadRequest
from market_pipeline.warehouse.stored_bars import has_bars_around
from market_pipeline.warehouse.tracked_symbols import Reference

FetchReference = Callable[[Symbol], Reference]
"""Fetches a symbol's reference data from the vendor and stores it. Raises PolygonError without a usable response."""

FetchListDate = Callable[[Symbol], date | None]
"""Fetches a symbol's first day on the market; None if the vendor gives none. Raises PolygonError."""

Explain = Callable[[LoadRequest], LoadRequest]
"""Explains a load request without data. Raises NoDataError if some session should have had a bar."""


class NoDataError(MarketPipelineError):
    """The vendor has no bar of a symbol for the requested sessions, and nothing known explains it."""


def end_at_delisting(load_request: LoadRequest, known: Reference | None) -> LoadRequest:
    """Return the load request up to the symbol's last day, with a note if the run's sessions go on."""
    last = known.delisted_on if known else None
    if known is None or last is None or last >= load_request.sessions[-1]:
        return load_request
    return replace(load_request, delisted_on=last, notes=(*load_request.notes, f"{known.ending}"))


def explain_no_data(
    load_request: LoadRequest, warehouse: Engine, fetch_reference: FetchReference, fetch_list_date: FetchListDate
) -> LoadRequest:
    """Return a load request without data, once it is known that none of its sessions should have a bar.

    Raises:
        NoDataError: some should.
    """
    symbol, sessions = load_request.symbol, load_request.due
    if load_request.answered is not None and has_bars_around(warehouse, symbol.name, sessions[0], sessions[-1]):
        return load_request  # it traded before and after, so the request is right
    nothing = f"No data returned for symbol ({sessions[0]} to {sessions[-1]})"
    reason = "; ".join(load_request.notes)
    if load_request.delisted_on is None:
        try:
            known = fetch_reference(symbol)
            listed = fetch_list_date(symbol) if known.listed and load_request.answered is not None else None
        except PolygonError as error:
            raise NoDataError(f"{nothing}: {error}") from None
        if listed is not None and listed > sessions[-1]:
            return replace(load_request, listed_on=listed, notes=(*load_request.notes, f"listed on {listed}"))
        load_request = end_at_delisting(load_request, known)
        reason = known.ending or reason
    if load_request.due:
        raise NoDataError(
            f"{nothing}: {reason or f'the vendor knows {symbol.vendor_ticker}; check that it was listed then'}"
        )
    return load_request
