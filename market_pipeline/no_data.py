"""Why the vendor has no bar at all of a symbol for a run's sessions: an explanation, or the error that there is none.

A ticker that is mistyped and one that wasn't listed yet are answered alike, with nothing.
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

WhoIs = Callable[[Symbol], Reference]
"""Asks the vendor who a symbol is and stores it. Raises PolygonError where there is no usable answer."""

ListedOn = Callable[[Symbol], date | None]
"""Asks the vendor for a symbol's first day on the market; None where it doesn't say. Raises PolygonError."""

Explain = Callable[[LoadRequest], LoadRequest]
"""Says of an attempt without data why there is none. Raises NoDataError where some session should have had a bar."""


class NoDataError(MarketPipelineError):
    """The vendor has no bar at all of a symbol for the sessions asked, and nothing that is known explains it."""


def until_its_end(attempt: LoadRequest, known: Reference | None) -> LoadRequest:
    """The attempt as far as the symbol traded, with a note where the run's sessions go on after that."""
    last = known.delisted_on if known else None
    if known is None or last is None or last >= attempt.sessions[-1]:
        return attempt
    return replace(attempt, delisted_on=last, notes=(*attempt.notes, f"{known.ending}"))


def explained(attempt: LoadRequest, warehouse: Engine, who_is: WhoIs, listed_on: ListedOn) -> LoadRequest:
    """An attempt without data, once it is known that none of its sessions should have had a bar.

    Raises:
        NoDataError: some should have.
    """
    symbol, sessions = attempt.symbol, attempt.due
    if attempt.answered is not None and has_bars_around(warehouse, symbol.name, sessions[0], sessions[-1]):
        return attempt  # it traded before and after, so that what was asked for is right
    nothing = f"No data returned for symbol ({sessions[0]} to {sessions[-1]})"
    reason = "; ".join(attempt.notes)
    if attempt.delisted_on is None:
        try:
            known = who_is(symbol)
            listed = listed_on(symbol) if known.listed and attempt.answered is not None else None
        except PolygonError as error:
            raise NoDataError(f"{nothing}: {error}") from None
        if listed is not None and listed > sessions[-1]:
            return replace(attempt, listed_on=listed, notes=(*attempt.notes, f"listed on {listed}"))
        attempt = until_its_end(attempt, known)
        reason = known.ending or reason
    if attempt.due:
        raise NoDataError(
            f"{nothing}: {reason or f'the vendor knows {symbol.vendor_ticker}; check that it was listed then'}"
        )
    return attempt
