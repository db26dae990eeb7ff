"""Splits, dividends, tickers and ticker changes: what their endpoints are asked and what their records say.

The vendor has two generations of the endpoints for splits and dividends. Both are described here, side by side, and
their records read into the same types.
"""

import logging
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

from market_pipeline.polygon.parsing import Record
from market_pipeline.polygon.response_body import Body
from market_pipeline.polygon.vendor_errors import BadResponseError, quoted

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """`split_from` shares became `split_to`; `execution_date` is the first session that trades after it.

    Announced splits are listed too, so that the date may be in the future.
    """

    ticker: str
    execution_date: date
    split_from: float
    split_to: float
    vendor_id: str | None


@dataclass(frozen=True)
class Dividend:
    """A cash dividend per share, in `currency`, as paid: not adjusted for later splits.

    `dividend_type` is the vendor's own word, of which each generation of its API has others (recurring, special, CD).
    """

    ticker: str
    ex_dividend_date: date
    cash_amount: float
    currency: str | None
    dividend_type: str | None
    frequency: int | None
    declaration_date: date | None
    record_date: date | None
    pay_date: date | None
    vendor_id: str | None


@dataclass(frozen=True)
class Ticker:
    """What the vendor knows of a ticker. `kind` is its own code (CS, ETF, ...), `primary_exchange` a MIC."""

    ticker: str
    name: str | None
    market: str | None
    kind: str | None
    primary_exchange: str | None
    active: bool
    delisted: date | None


@dataclass(frozen=True)
class TickerChange:
    """From `date` on, as the vendor dates it, the company traded as `ticker`."""

    ticker: str
    date: date


@dataclass(frozen=True)
class Listing(Generic[T]):
    """One kind of event, as both generations of the API list it by date."""

    name: str
    date_field: str
    read: Callable[[Record], T]

    def request(self, start: date, end: date, ticker: str | None, *, older: bool) -> tuple[str, dict[str, str]]:
        """Path and query for the events from `start` to `end`, both included, of one ticker or of all."""
        params = {f"{self.date_field}.gte": str(start), f"{self.date_field}.lte": str(end)}
        if ticker is not None:
            params["ticker"] = ticker
        if older:
            return f"/v3/reference/{self.name}", {**params, "sort": self.date_field, "order": "asc", "limit": "1000"}
        return f"/stocks/v1/{self.name}", {**params, "sort": f"{self.date_field}.asc", "limit": "5000"}


def read_all(read: Callable[[Record], T], records: Iterable[Record], about: str) -> list[T]:
    """Every record that can be read, once, in the vendor's order. One that can't is logged and left out."""
    found = []
    for record in records:
        try:
            found.append(read(record))
        except (KeyError, TypeError, ValueError, OverflowError) as problem:
            log.warning("%s: left out %s (%s)", about, quoted(repr(record)), quoted(repr(problem)))
    return list(dict.fromkeys(found))


def ticker_of(record: Record) -> Ticker:
    """A record of the tickers endpoint."""
    return Ticker(
        _text(record["ticker"]),
        _maybe(_text, record.get("name")),
        _maybe(_text, record.get("market")),
        _maybe(_text, record.get("type")),
        _maybe(_text, record.get("primary_exchange")),
        record.get("active") is not False,
        _maybe(_day, record.get("delisted_utc")),
    )


def list_date(body: Body) -> date | None:
    """List date of a ticker by its details; None where it is missing or unreadable."""
    details = body.get("results")
    stated = details.get("list_date") if isinstance(details, dict) else None
    with suppress(TypeError, ValueError):
        return _maybe(_day, stated)
    return None


def ticker_changes(body: Body, about: str) -> list[TickerChange]:
    """The ticker changes of one company, oldest first.

    Raises:
        BadAnswerError: the body holds no list of events.
    """
    results = body.get("results")
    events = results.get("events", []) if isinstance(results, dict) else None
    if not isinstance(events, list):
        raise BadResponseError(f"{about}: the answer's results hold no list of events. Report it")
    return sorted(read_all(_change, events, about), key=lambda change: change.date)


def _split(record: Record) -> Split:
    return Split(
        _text(record["ticker"]),
        _day(record["execution_date"]),
        _number(record["split_from"]),
        _number(record["split_to"]),
        _maybe(_text, record.get("id")),
    )


def _dividend(record: Record) -> Dividend:
    return Dividend(
        _text(record["ticker"]),
        _day(record["ex_dividend_date"]),
        _number(record["cash_amount"]),
        _maybe(_text, record.get("currency")),
        _maybe(_text, record.get("distribution_type", record.get("dividend_type"))),
        _maybe(int, record.get("frequency")),
        _maybe(_day, record.get("declaration_date")),
        _maybe(_day, record.get("record_date")),
        _maybe(_day, record.get("pay_date")),
        _maybe(_text, record.get("id")),
    )


def _change(record: Record) -> TickerChange:
    return TickerChange(_text(record["ticker_change"]["ticker"]), _day(record["date"]))


def _maybe(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None or value == "" else read(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    return value


def _day(value: Any) -> date:
    """A date, or the date of an instant."""
    return date.fromisoformat(_text(value)[:10])


def _number(value: Any) -> float:
    """A finite number. Whether it can be true is for those who store it to say."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


SPLITS = Listing("splits", "execution_date", _split)
DIVIDENDS = Listing("dividends", "ex_dividend_date", _dividend)
