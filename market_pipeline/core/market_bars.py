"""Bars of one session of a whole market, as arrays, from the vendor's response to the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from numpy.typing import NDArray

from market_pipeline.core.bars import Columns
from market_pipeline.core.markets import Origin


@dataclass(frozen=True)
class MarketSession:
    """The vendor's bars of one session of a market.

    `tickers` are the vendor's (objects, str), one a row; `columns` has BAR_COLUMNS. `payload` returns the vendor's own
    record of a row. `version` is the ETag of a flat file, None of a grouped response. `requests` is the number of HTTP
    requests, `waited_seconds` their waits for the rate limit.
    """

    session: date
    tickers: NDArray[Any]
    columns: Columns
    payload: Callable[[int], Mapping[str, Any]]
    origin: Origin
    version: str | None
    requests: int
    waited_seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RejectedRow:
    """A bar of a market's session that breaks rules: its ticker, the broken rules, the vendor's own record."""

    ticker: str
    reasons: Sequence[str]
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class CheckedSession:
    """A market's session split by the rules: `tickers` and `columns` are of the accepted bars, one a ticker."""

    fetched: MarketSession
    tickers: NDArray[Any]
    columns: Columns
    rejected: Sequence[RejectedRow]
