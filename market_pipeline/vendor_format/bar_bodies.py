"""Bodies of the endpoints of daily bars: range, grouped, previous day, open and close; and a range as requested.

Source: the vendor's OpenAPI documents and recorded bodies, also for the order of keys, `t` and missing fields.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

from market_pipeline.core.sessions import CALENDARS, Calendar
from market_pipeline.vendor_format.bar_rows import DAY_MILLISECONDS, BarColumns, BarRows, EncodedRows, JsonRows
from market_pipeline.vendor_format.bar_windows import EPOCH, UNITS, Windows, merge_bars
from market_pipeline.vendor_format.encoding import encode_cursor
from market_pipeline.vendor_format.error_bodies import (
    TO_BEFORE_FROM,
    Body,
    ErrorBody,
    RejectedRequestError,
    describe_bad_parameter,
)
from market_pipeline.vendor_format.vendor_request import VendorRequest, parse_limit, parse_time

DEFAULT_LIMIT, MOST = 5_000, 50_000
MULTIPLIER = re.compile("[0-9]{1,5}")
STOCK_CLOSE = time(16)
ONLY_DAILY = ErrorBody(400, "ERROR", f"There are daily bars only: the timespan has to be one of {', '.join(UNITS)}")


class Bar(Protocol):
    """A bar whose values are under the vendor's keys."""

    def __getitem__(self, key: str, /) -> Any:
        """Return a value."""


class DayStarts(dict[int, int]):
    """Instants at which days begin in a time zone, in milliseconds, by the number of days since 1970."""

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, day: int) -> int:
        begin = datetime.combine(EPOCH + timedelta(days=day), time.min, self._zone)
        self[day] = int(begin.timestamp() * 1000)
        return self[day]


DAY_STARTS: Mapping[str, DayStarts] = {name: DayStarts(market.timezone) for name, market in CALENDARS.items()}
"""The instants by calendar: midnight in New York for stocks, midnight UTC for crypto."""


@dataclass(frozen=True)
class BarRange:
    """A requested range: its first and last day, both included, whole windows, and the most daily bars of a page."""

    first: date
    last: date
    windows: Windows
    limit: int


def parse_range(request: VendorRequest, market: Calendar) -> BarRange:
    """Parse the path and the limit of a request for a range.

    Raises:
        RejectedRequestError: they can't be parsed, or bars within a day are requested.
    """
    path = request.path
    return _parse_range(
        path["multiplier"],
        path["timespan"],
        path["from"],
        path["to"],
        limit=request.parameters.get("limit"),
        is_continued=request.is_continued,
        market=market.name,
    )


@lru_cache(1_000)
def _parse_range(
    multiplier: str, timespan: str, begin: str, end: str, *, limit: str | None, is_continued: bool, market: str
) -> BarRange:
    if timespan not in UNITS:
        raise RejectedRequestError(ONLY_DAILY)
    if not (MULTIPLIER.fullmatch(multiplier) and 0 < int(multiplier) <= MOST):
        raise RejectedRequestError(describe_bad_parameter("multiplier", f"a number from 1 to {MOST}"))
    zone = CALENDARS[market].timezone
    first, last = parse_time(begin, "from", zone), parse_time(end, "to", zone)
    if last < first and not is_continued:  # as it is after the last page
        raise RejectedRequestError(TO_BEFORE_FROM)
    windows = Windows(int(multiplier), timespan, first)
    most = parse_limit(limit, DEFAULT_LIMIT, MOST)
    if windows.is_daily:
        return BarRange(first, last, windows, most)
    return BarRange(windows.start_of(first), windows.end_of(max(first, last)), windows, most)


def build_range_body(
    request: VendorRequest,
    bar_range: BarRange,
    market: Calendar,
    found: BarColumns,
    *,
    status: str = "OK",
    keep: Mapping[str, str] | None = None,
) -> Body:
    """Return the body with a page of a range: daily bars, or windows of several days.

    Args:
        request: the request.
        bar_range: its range.
        market: the ticker's calendar.
        found: daily bars of the range in the requested order, one more than `bar_range.limit` if there are more.
        status: the body's status.
        keep: parameters of the request that the next page's URL has, besides limit and order.

    Raises:
        RejectedRequestError: the limit is too low for a single window.
    """
    starts = DAY_STARTS[market.name]
    has_more = len(found["day"]) > bar_range.limit
    page = {name: column[: bar_range.limit] for name, column in found.items()} if has_more else found
    used = len(page["day"])
    if not bar_range.windows.is_daily:
        page = _merge_page(request, bar_range, page, found["day"][used] if has_more else None)
    rows = BarRows({**page, "t": [starts[day] for day in page["day"]]})
    edge = _find_edge(request, bar_range, page["day"][-1], starts) if has_more else None
    return _build_page_body(request, rows, used, edge, status=status, keep=keep)


def build_daily_body(
    request: VendorRequest, bar_range: BarRange, found: EncodedRows, *, keep: Mapping[str, str] | None = None
) -> Body:
    """Return the body with a page of a range of daily bars, from rows that are encoded already."""
    if len(found) <= bar_range.limit:
        return _build_page_body(request, found, len(found), None)
    page, last = found.split_last()
    return _build_page_body(request, page, len(page), _compute_next_day(request, last), keep=keep)


def _build_page_body(
    request: VendorRequest,
    rows: JsonRows,
    used: int,
    edge: int | None,
    *,
    status: str = "OK",
    keep: Mapping[str, str] | None = None,
) -> Body:
    more = {} if edge is None else {"next_url": build_next_url(request, edge, keep)}
    return build_bars_body(request, rows, used=used, ticker=request.path["ticker"], status=status, more=more)


def _merge_page(request: VendorRequest, bar_range: BarRange, page: BarColumns, following: int | None) -> BarColumns:
    """Merge a page's bars to windows, and drop the last one if the day `following` is in it too."""
    merged = merge_bars(bar_range.windows, _reverse(page) if request.is_descending else page)
    if request.is_descending:
        merged = _reverse(merged)
    if following is None or not merged["day"]:
        return merged
    start = (bar_range.windows.start_of(EPOCH + timedelta(days=following)) - EPOCH).days
    if start != merged["day"][-1]:
        return merged
    if len(merged["day"]) == 1:
        raise RejectedRequestError(
            describe_bad_parameter("limit", "at least the number of daily bars of one of these bars")
        )
    return {name: column[:-1] for name, column in merged.items()}


def _reverse(columns: BarColumns) -> BarColumns:
    return {name: column[::-1] for name, column in columns.items()}


def _find_edge(request: VendorRequest, bar_range: BarRange, last: int, starts: DayStarts) -> int:
    """Return the time at which the next page begins, or ends if times fall, after this page's last bar."""
    if bar_range.windows.is_daily:
        return _compute_next_day(request, starts[last])
    if request.is_descending:
        return starts[last - 1]
    return starts[(bar_range.windows.end_of(EPOCH + timedelta(days=last)) - EPOCH).days + 1]


def _compute_next_day(request: VendorRequest, last: int) -> int:
    return last + (-DAY_MILLISECONDS if request.is_descending else DAY_MILLISECONDS)


def build_next_url(request: VendorRequest, edge: int, keep: Mapping[str, str] | None = None) -> str:
    """Return the URL of the page from `edge` on (up to it, if times fall). It never has the key.

    Args:
        request: the request for this page.
        edge: a time in milliseconds.
        keep: further parameters. The vendor's URLs have none: they lose `adjusted`.
    """
    path = request.path
    first, last, sort = path["from"], path["to"], "asc"
    if request.is_descending:
        last, sort = str(edge), "desc"
    else:
        first = str(edge)
    cursor = encode_cursor({"limit": request.limit(DEFAULT_LIMIT, MOST), "sort": sort, **(keep or {})})
    ticker = quote(path["ticker"], safe=":")
    target = f"/v2/aggs/ticker/{ticker}/range/{path['multiplier']}/{path['timespan']}/{first}/{last}"
    return f"{request.address()}{target}?cursor={cursor}"


def build_bars_body(
    request: VendorRequest,
    rows: JsonRows,
    *,
    used: int | None = None,
    ticker: str | None = None,
    status: str = "OK",
    more: Mapping[str, str] | None = None,
) -> Body:
    """Return a body with the vendor's order of keys; without bars it has neither `results` nor `count`.

    Args:
        request: the request.
        rows: the bars.
        used: the number of daily bars that they are made of, if it isn't that of the rows.
        ticker: the ticker; None of a response about all.
        status: the body's status.
        more: fields at its end.
    """
    named = {} if ticker is None else {"ticker": ticker}
    count = len(rows)
    body: Body = {**named, "queryCount": count if used is None else used, "resultsCount": count}
    body["adjusted"] = request.adjusted
    if count:
        body["results"] = rows
    return body | request.envelope(status=status, **({"count": count} if count else {}), **(more or {}))


def build_whole_day_rows(market: Calendar, columns: BarColumns, tickers: Sequence[str]) -> BarRows:
    """Return bars as rows of the whole-day endpoints: with the ticker, and the end of the day as `t`."""
    ends = {day: compute_end_time(market, EPOCH + timedelta(days=day)) for day in set(columns["day"])}
    return BarRows({**columns, "t": [ends[day] for day in columns["day"]]}, tickers)


def compute_end_time(market: Calendar, day: date) -> int:
    """Return a bar's end in milliseconds: 16:00 in New York for stocks, the UTC day's last millisecond for crypto."""
    if market.name == "XNYS":
        return int(datetime.combine(day, STOCK_CLOSE, tzinfo=market.timezone).timestamp() * 1000)
    return int(datetime.combine(day + timedelta(days=1), time(0), tzinfo=UTC).timestamp() * 1000) - 1


def build_open_close_body(request: VendorRequest, bar: Bar) -> Body:
    """Return the body with one stock's bar of one day under spelt-out field names."""
    body: Body = {"status": "OK", "from": str(request.day()), "symbol": request.path["ticker"]}
    named = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    return body | {name: float(bar[key]) for name, key in named.items()}


def build_crypto_open_close_body(request: VendorRequest, bar: Bar) -> Body:
    """Return the body with one crypto pair's open and close of one UTC day. Its lists of trades are empty."""
    path = request.path
    body: dict[str, Any] = {
        "symbol": f"{path['base']}-{path['quote']}",
        "isUTC": True,
        "day": f"{request.day()}T00:00:00.000Z",
    }
    return body | {"open": float(bar["o"]), "close": float(bar["c"]), "openTrades": [], "closingTrades": []}
