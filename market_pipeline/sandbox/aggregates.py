"""The endpoints that answer with daily bars: range, grouped, previous day, open and close.

Source: the vendor's OpenAPI documents and recorded bodies; order of keys, `t` and what is left out are the wire's.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from market_pipeline.core.sessions import Calendar, calendar, session_starts
from market_pipeline.sandbox.bar_arrays import Bars, Row, empty, label, rows
from market_pipeline.sandbox.encoding import to_cursor
from market_pipeline.sandbox.endpoint_responses import NO_DATA, Data, EndpointResponse, ErrorBody, RejectedRequestError
from market_pipeline.sandbox.listings import calendar_of
from market_pipeline.sandbox.random_numbers import number
from market_pipeline.sandbox.request import ApiRequest

BAR_MILLISECONDS = 86_400_000
DEFAULT_LIMIT, MOST = 5_000, 50_000
STOCK_CLOSE = time(16)
ONLY_DAILY = ErrorBody(400, "ERROR", "The sandbox serves 1/day only: ask for /range/1/day/")


def daily_range(call: ApiRequest) -> EndpointResponse:
    """One ticker's bars over a range, a page at a time.

    Raises:
        RejectedRequestError: the range can't be read or is beyond the plan, or bars of another length were asked for.
    """
    if (call.path["multiplier"], call.path["timespan"]) != ("1", "day"):
        raise RejectedRequestError(ONLY_DAILY)
    ticker = call.path["ticker"]
    market = calendar_of(ticker)
    first, last = call.time_range(market.timezone)
    bars = _bars_in(call, first, last)
    limit = call.limit(DEFAULT_LIMIT, MOST)
    page = bars[::-1][:limit] if _is_descending(call) else bars[:limit]
    times = start_times(market, page)
    more = {"next_url": next_url(call, times[-1])} if len(bars) > limit else {}
    status = call.market.plan.status(last, call.market.today(market))
    return _answer(call, rows(page, times), label(page), ticker=ticker, status=status, more=more)


def grouped_stocks(call: ApiRequest) -> EndpointResponse:
    """One day's bars of all stocks, in no order.

    Raises:
        RejectedRequestError: the day can't be read or is beyond the plan.
    """
    return _grouped(call, "XNYS")


def grouped_crypto(call: ApiRequest) -> EndpointResponse:
    """One day's bars of all crypto pairs, in no order.

    Raises:
        RejectedRequestError: the day can't be read or is beyond the plan.
    """
    return _grouped(call, "24/7")


def previous_day(call: ApiRequest) -> EndpointResponse:
    """The ticker's last bar before today."""
    ticker = call.path["ticker"]
    yesterday = call.market.today(calendar_of(ticker)) - timedelta(days=1)
    listing = call.market.universe.find(ticker)
    bars = empty()
    if listing is not None:
        bars = call.market.bars(listing, yesterday - timedelta(days=14), yesterday, adjust=call.adjusted)[-1:]
    return _answer(call, list(_ended(bars, ticker)), label(bars), ticker=ticker)


def open_close(call: ApiRequest) -> EndpointResponse:
    """One stock's bar of one day, in words.

    Raises:
        RejectedRequestError: there is none, or the day can't be read or is beyond the plan.
    """
    bars = _bar_of(call, call.path["ticker"])
    open_, high, low, close, volume = (float(bars[name][0]) for name in ("o", "h", "l", "c", "v"))
    body: dict[str, Any] = {"status": "OK", "from": str(call.day()), "symbol": call.path["ticker"]}
    body |= {"open": open_, "high": high, "low": low, "close": close, "volume": volume}
    return EndpointResponse(body, label(bars))


def crypto_open_close(call: ApiRequest) -> EndpointResponse:
    """One crypto pair's open and close of one UTC day. The first and last trades are not made up.

    Raises:
        RejectedRequestError: there is none, or the day can't be read or is beyond the plan.
    """
    bars = _bar_of(call, f"X:{call.path['base']}{call.path['quote']}")
    day = f"{call.day()}T00:00:00.000Z"
    body: dict[str, Any] = {"symbol": f"{call.path['base']}-{call.path['quote']}", "isUTC": True, "day": day}
    body |= {"open": float(bars["o"][0]), "close": float(bars["c"][0]), "openTrades": [], "closingTrades": []}
    return EndpointResponse(body, label(bars))


def next_url(call: ApiRequest, last_time: int) -> str:
    """Where the page behind the bar of `last_time` is: past it in `from` (or `to`); `adjusted` and the key get lost."""
    first, last, sort = call.path["from"], call.path["to"], "asc"
    if _is_descending(call):
        last, sort = str(last_time - BAR_MILLISECONDS), "desc"
    else:
        first = str(last_time + BAR_MILLISECONDS)
    cursor = to_cursor({"limit": call.limit(DEFAULT_LIMIT, MOST), "sort": sort})
    path = f"/v2/aggs/ticker/{quote(call.path['ticker'], safe=':')}/range/1/day/{first}/{last}"
    return f"{call.address}{path}?cursor={cursor}"


def start_times(market: Calendar, bars: Bars) -> list[int]:
    """When each bar begins, in milliseconds: midnight New York for stocks, midnight UTC for crypto."""
    starts = session_starts(market.name, pd.DatetimeIndex(bars["day"].astype("M8[s]")))
    return starts.as_unit("ms").asi8.tolist()


def end_time(market: Calendar, day: date) -> int:
    """When a bar ends, in milliseconds: 16:00 New York for stocks, the last millisecond of the UTC day for crypto."""
    if market.name == "XNYS":
        return int(datetime.combine(day, STOCK_CLOSE, tzinfo=market.timezone).timestamp() * 1000)
    return int(datetime.combine(day + timedelta(days=1), time(0), tzinfo=UTC).timestamp() * 1000) - 1


def _grouped(call: ApiRequest, calendar_name: str) -> EndpointResponse:
    market, day = calendar(calendar_name), call.day()
    today = call.market.today(market)
    call.market.plan.check_day(day, today)
    listings = [listing for listing in call.market.universe.all() if listing.calendar == market]
    bars = {listing.ticker: call.market.bars(listing, day, day, adjust=call.adjusted) for listing in listings}
    shuffled = sorted(bars, key=lambda ticker: number(ticker, day))
    found = [row for ticker in shuffled for row in _ended(bars[ticker], ticker)]
    data = label(np.concatenate([empty(), *bars.values()]))
    return _answer(call, found, data, status=call.market.plan.status(day, today))


def _bars_in(call: ApiRequest, first: date, last: date) -> Bars:
    """The ticker's bars of a range as far as the plan holds them; none for an unknown ticker, as at the vendor."""
    ticker, market = call.path["ticker"], call.market
    clip = market.config.history_edge == "clip"
    first = market.plan.first_day(first, last, market.today(calendar_of(ticker)), clip=clip)
    listing = market.universe.find(ticker)
    return empty() if listing is None else market.bars(listing, first, last, adjust=call.adjusted)


def _bar_of(call: ApiRequest, ticker: str) -> Bars:
    day = call.day()
    call.market.plan.check_day(day, call.market.today(calendar_of(ticker)))
    listing = call.market.universe.find(ticker)
    bars = empty() if listing is None else call.market.bars(listing, day, day, adjust=call.adjusted)
    if not len(bars):
        raise RejectedRequestError(NO_DATA)
    return bars


def _ended(bars: Bars, ticker: str) -> Iterable[Row]:
    """Bars as the answers about a whole day have them: with the ticker, and the end of the window as `t`."""
    market = calendar_of(ticker)
    return rows(bars, [end_time(market, day) for day in bars["day"].tolist()], ticker)


def _answer(
    call: ApiRequest,
    found: list[Row],
    data: Data | None,
    *,
    ticker: str | None = None,
    status: str = "OK",
    more: dict[str, str] | None = None,
) -> EndpointResponse:
    """The envelope in the wire's order of keys; without bars it has neither `results` nor `count`."""
    named = {} if ticker is None else {"ticker": ticker}
    body: dict[str, Any] = {**named, "queryCount": len(found), "resultsCount": len(found), "adjusted": call.adjusted}
    if found:
        body["results"] = found
    body |= call.envelope(status=status, **({"count": len(found)} if found else {}), **(more or {}))
    return EndpointResponse(body, data)


def _is_descending(call: ApiRequest) -> bool:
    return call.parameters.get("sort") == "desc"
