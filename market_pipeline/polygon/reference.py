"""Splits, dividends, tickers and ticker changes: requests to their endpoints, and their records as dataclasses.

The vendor has two generations of the endpoints for splits and dividends. Both are supported, and their records are read
into the same types.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

from market_pipeline.polygon.parsing import Record
from market_pipeline.polygon.request_planning import split_into_batches
from market_pipeline.polygon.response_body import Body
from market_pipeline.polygon.vendor_errors import BadResponseError, quote_text

log = logging.getLogger(__name__)

UNREADABLE = (KeyError, TypeError, ValueError, OverflowError)
"""Errors of reading a record that is not as documented."""

T = TypeVar("T")


MOST_PAYMENTS_A_YEAR = 366


@dataclass(frozen=True)
class Split:
    """A stock split: `split_from` shares became `split_to`; `execution_date` is the first session after it.

    The date is in the future for an announced split.
    """

    ticker: str
    execution_date: date
    split_from: float
    split_to: float
    vendor_id: str | None


@dataclass(frozen=True)
class Dividend:
    """A cash dividend per share, in `currency`, as paid: not adjusted for later splits.

    `dividend_type` is the vendor's code, different in each generation of its API (recurring, special, CD).
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


@dataclass(frozen=True, eq=False)
class UnreadableEvent:
    """A split or dividend that can't be read: its ticker and date if these can be, and the problem."""

    ticker: str | None
    date: date | None
    record: Record
    problem: str


@dataclass(frozen=True)
class Ticker:
    """The vendor's reference data of a ticker. `kind` is the vendor's code (CS, ETF, ...), `primary_exchange` a MIC."""

    ticker: str
    name: str | None
    market: str | None
    kind: str | None
    primary_exchange: str | None
    active: bool
    delisted: date | None
    composite_figi: str | None = None
    share_class_figi: str | None = None
    cik: str | None = None


@dataclass(frozen=True)
class TickerList:
    """The vendor's list of a market's tickers, by name, and the requests that it took."""

    tickers: Sequence[Ticker]
    requests: int
    waited_seconds: float


@dataclass(frozen=True)
class TickerChange:
    """A ticker change: the company trades as `ticker` from `date` on, as the vendor dates it.

    An event without a date, which only another warehouse has, is of `date.min`: from the beginning of the bars on.
    """

    ticker: str
    date: date


@dataclass(frozen=True)
class TickerEvents:
    """All tickers of the security that has a ticker now, oldest first, and its identifiers, None where unknown."""

    name: str | None
    composite_figi: str | None
    cik: str | None
    changes: tuple[TickerChange, ...]


@dataclass(frozen=True)
class EventEndpoint(Generic[T]):
    """The endpoint of one kind of dated event, in both generations of the API."""

    name: str
    date_field: str
    read: Callable[[Record], T]

    def requests(
        self, start: date, end: date, tickers: Sequence[str] | None, *, older: bool
    ) -> list[tuple[str, dict[str, str]]]:
        """Return path and query of each request for the events from `start` to `end`, both included.

        Of these tickers, or of the whole market if `tickers` is None. The older endpoint takes one ticker a request.
        """
        dates = {f"{self.date_field}.gte": str(start), f"{self.date_field}.lte": str(end)}
        if older:
            path = f"/v3/reference/{self.name}"
            page = {"sort": self.date_field, "order": "asc", "limit": "1000"}
            filters = [{"ticker": ticker} for ticker in tickers or ()]
        else:
            path = f"/stocks/v1/{self.name}"
            page = {"sort": f"{self.date_field}.asc", "limit": "5000"}
            filters = [{"ticker.any_of": ",".join(batch)} for batch in split_into_batches(tickers or ())]
        return [(path, {**dates, **by_ticker, **page}) for by_ticker in ([{}] if tickers is None else filters)]

    def read_all(self, records: Iterable[Record], about: str) -> tuple[list[T], list[UnreadableEvent]]:
        """Read every record, without duplicates, in the vendor's order; return the unreadable ones, logged, too."""
        found, unreadable = [], []
        for record in records:
            try:
                found.append(self.read(record))
            except UNREADABLE as error:
                problem = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
                log.warning("%s: can't read %s (%s)", about, quote_text(repr(record)), quote_text(problem))
                ticker = _try_to_read(_read_text, record, "ticker")
                day = _try_to_read(_read_date, record, self.date_field)
                unreadable.append(UnreadableEvent(ticker, day, record, quote_text(problem)))
        return list(dict.fromkeys(found)), unreadable


@dataclass(frozen=True)
class FetchedEvents(Generic[T]):
    """Events of one kind, oldest first within each request, and the requests that they took.

    `unreadable` are those of which a needed field can't be read; `tickers` are the requested ones, None for all.
    """

    tickers: Sequence[str] | None
    events: Sequence[T]
    unreadable: Sequence[UnreadableEvent]
    requests: int
    waited_seconds: float


def read_all(read: Callable[[Record], T], records: Iterable[Record], about: str) -> list[T]:
    """Read every record, without duplicates, in the vendor's order. An unreadable one is logged and left out."""
    found = []
    for record in records:
        try:
            found.append(read(record))
        except UNREADABLE as problem:
            log.warning("%s: left out %s (%s)", about, quote_text(repr(record)), quote_text(repr(problem)))
    return list(dict.fromkeys(found))


def read_ticker(record: Record) -> Ticker:
    """Read a record of the tickers endpoint."""
    return Ticker(
        _read_text(record["ticker"]),
        _read_optional(_read_text, record.get("name")),
        _read_optional(_read_text, record.get("market")),
        _read_optional(_read_text, record.get("type")),
        _read_optional(_read_text, record.get("primary_exchange")),
        record.get("active") is not False,
        _read_optional(_read_date, record.get("delisted_utc")),
        *(_read_optional(_read_text, record.get(name)) for name in ("composite_figi", "share_class_figi", "cik")),
    )


def read_list_date(body: Body) -> date | None:
    """Read the list date in a ticker's details; None if it is missing or unreadable."""
    details = body.get("results")
    stated = details.get("list_date") if isinstance(details, dict) else None
    with suppress(TypeError, ValueError):
        return _read_optional(_read_date, stated)
    return None


def read_ticker_events(body: Body, about: str) -> TickerEvents:
    """Read the ticker changes of one security.

    Raises:
        BadResponseError: the body has no list of events.
    """
    results = body.get("results")
    events = results.get("events", []) if isinstance(results, dict) else None
    if not isinstance(results, dict) or not isinstance(events, list):
        raise BadResponseError(f"{about}: the response's `results` has no list of events. Report it")
    changes = sorted(read_all(_read_change, events, about), key=lambda change: change.date)
    name, figi, cik = (_read_optional_text(results.get(name)) for name in ("name", "composite_figi", "cik"))
    return TickerEvents(name, figi, cik, tuple(changes))


def _read_optional_text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _read_split(record: Record) -> Split:
    return Split(
        _read_text(record["ticker"]),
        _read_date(record["execution_date"]),
        _read_number(record["split_from"]),
        _read_number(record["split_to"]),
        _read_optional(_read_text, record.get("id")),
    )


def _read_dividend(record: Record) -> Dividend:
    return Dividend(
        _read_text(record["ticker"]),
        _read_date(record["ex_dividend_date"]),
        _read_number(record["cash_amount"]),
        _read_optional(_read_text, record.get("currency")),
        _read_optional(_read_text, record.get("distribution_type", record.get("dividend_type"))),
        _read_optional(_read_frequency, record.get("frequency")),
        _read_optional(_read_date, record.get("declaration_date")),
        _read_optional(_read_date, record.get("record_date")),
        _read_optional(_read_date, record.get("pay_date")),
        _read_optional(_read_text, record.get("id")),
    )


def _read_change(record: Record) -> TickerChange:
    first = _read_date(record["date"]) if "date" in record else date.min
    return TickerChange(_read_text(record["ticker_change"]["ticker"]), first)


def _try_to_read(read: Callable[[Any], T], record: Record, name: str) -> T | None:
    with suppress(*UNREADABLE):
        return read(record[name])
    return None


def _read_optional(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None or value == "" else read(value)


def _read_text(value: Any) -> str:
    """Read a text that PostgreSQL can store: without NUL, and without half a character."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{value!r} has characters that no text has")
    return value


def _read_date(value: Any) -> date:
    """Read a date, or the date part of an instant."""
    return date.fromisoformat(_read_text(value)[:10])


def _read_frequency(value: Any) -> int:
    frequency = int(value)
    if not 0 <= frequency <= MOST_PAYMENTS_A_YEAR:
        raise ValueError(f"{value!r} is no number of payments a year")
    return frequency


def _read_number(value: Any) -> float:
    """Read a finite number. Its range is checked with the rules of trust."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


SPLITS = EventEndpoint("splits", "execution_date", _read_split)
DIVIDENDS = EventEndpoint("dividends", "ex_dividend_date", _read_dividend)
