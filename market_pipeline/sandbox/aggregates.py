"""The endpoints of daily bars: range, grouped, previous day, open and close.

Source: the vendor's OpenAPI documents and recorded bodies, also for the order of keys, `t` and missing fields.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote

import pandas as pd

from market_pipeline.core.sessions import Calendar, calendar, session_starts
from market_pipeline.sandbox.bar_arrays import Bars, Row, data_label, to_rows
from market_pipeline.sandbox.encoding import to_cursor
from market_pipeline.sandbox.endpoint_responses import NO_DATA, Data, EndpointResponse, ErrorBody, RejectedRequestError
from market_pipeline.sandbox.listings import calendar_of
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.sandbox.session_rows import SessionRows

BAR_MILLISECONDS = 86_400_000
DEFAULT_LIMIT, MOST = 5_000, 50_000
STOCK_CLOSE = time(16)
ONLY_DAILY = ErrorBody(400, "ERROR", "The sandbox serves 1/day only: request /range/1/day/")


def daily_range(request: ApiRequest) -> EndpointResponse:
    """Return one ticker's bars over a range, a page at a time.

    Raises:
        RejectedRequestError: the range can't be parsed or is beyond the plan, or the bars are not daily.
    """
    if (request.path["multiplier"], request.path["timespan"]) != ("1", "day"):
        raise RejectedRequestError(ONLY_DAILY)
    ticker = request.path["ticker"]
    market = calendar_of(ticker)
    first, last = request.time_range(market.timezone)
    bars = _bars_in(request, first, last)
    limit = request.limit(DEFAULT_LIMIT, MOST)
    page = bars[::-1][:limit] if _is_descending(request) else bars[:limit]
    times = start_times(market, page)
    more = {"next_url": next_url(request, times[-1])} if len(bars) > limit else {}
    status = request.market.plan.status(last, request.market.today(market))
    return _bars_response(request, to_rows(page, times), data_label(page), ticker=ticker, status=status, more=more)


def grouped_stocks(request: ApiRequest) -> EndpointResponse:
    """Return one day's bars of all stocks, in no order.

    Raises:
        RejectedRequestError: the date can't be parsed or is beyond the plan.
    """
    return _grouped(request, "XNYS")


def grouped_crypto(request: ApiRequest) -> EndpointResponse:
    """Return one day's bars of all crypto pairs, in no order.

    Raises:
        RejectedRequestError: the date can't be parsed or is beyond the plan.
    """
    return _grouped(request, "24/7")


def previous_day(request: ApiRequest) -> EndpointResponse:
    """Return the ticker's last bar before today."""
    ticker = request.path["ticker"]
    yesterday = request.market.today(calendar_of(ticker)) - timedelta(days=1)
    bars = request.market.bars(ticker, yesterday - timedelta(days=14), yesterday, adjust=request.adjusted)[-1:]
    return _bars_response(request, list(_whole_day_rows(bars, ticker)), data_label(bars), ticker=ticker)


def open_close(request: ApiRequest) -> EndpointResponse:
    """Return one stock's bar of one day under spelt-out field names.

    Raises:
        RejectedRequestError: there is none, or the date can't be parsed or is beyond the plan.
    """
    bars = _bar_of(request, request.path["ticker"])
    open_, high, low, close, volume = (float(bars[name][0]) for name in ("o", "h", "l", "c", "v"))
    body: dict[str, Any] = {"status": "OK", "from": str(request.day()), "symbol": request.path["ticker"]}
    body |= {"open": open_, "high": high, "low": low, "close": close, "volume": volume}
    return EndpointResponse(body, data_label(bars))


def crypto_open_close(request: ApiRequest) -> EndpointResponse:
    """Return one crypto pair's open and close of one UTC day. Its lists of trades are empty.

    Raises:
        RejectedRequestError: there is none, or the date can't be parsed or is beyond the plan.
    """
    bars = _bar_of(request, f"X:{request.path['base']}{request.path['quote']}")
    day = f"{request.day()}T00:00:00.000Z"
    body: dict[str, Any] = {"symbol": f"{request.path['base']}-{request.path['quote']}", "isUTC": True, "day": day}
    body |= {"open": float(bars["o"][0]), "close": float(bars["c"][0]), "openTrades": [], "closingTrades": []}
    return EndpointResponse(body, data_label(bars))


def next_url(request: ApiRequest, last_time: int) -> str:
    """Return the URL of the page after the bar of `last_time`. As at the vendor, it lacks `adjusted` and the key."""
    first, last, sort = request.path["from"], request.path["to"], "asc"
    if _is_descending(request):
        last, sort = str(last_time - BAR_MILLISECONDS), "desc"
    else:
        first = str(last_time + BAR_MILLISECONDS)
    cursor = to_cursor({"limit": request.limit(DEFAULT_LIMIT, MOST), "sort": sort})
    path = f"/v2/aggs/ticker/{quote(request.path['ticker'], safe=':')}/range/1/day/{first}/{last}"
    return f"{request.address}{path}?cursor={cursor}"


def start_times(market: Calendar, bars: Bars) -> list[int]:
    """Return each bar's start in milliseconds: midnight in New York for stocks, midnight UTC for crypto."""
    starts = session_starts(market.name, pd.DatetimeIndex(bars["day"].astype("M8[s]")))
    return starts.as_unit("ms").asi8.tolist()


def end_time(market: Calendar, day: date) -> int:
    """Return a bar's end in milliseconds: 16:00 in New York for stocks, the UTC day's last millisecond for crypto."""
    if market.name == "XNYS":
        return int(datetime.combine(day, STOCK_CLOSE, tzinfo=market.timezone).timestamp() * 1000)
    return int(datetime.combine(day + timedelta(days=1), time(0), tzinfo=UTC).timestamp() * 1000) - 1


def _grouped(request: ApiRequest, calendar_name: str) -> EndpointResponse:
    market, day = calendar(calendar_name), request.day()
    today = request.market.today(market)
    request.market.plan.check_day(day, today)
    session = request.market.session_bars(market, day, adjust=request.adjusted)
    status = request.market.plan.status(day, today)
    rows = SessionRows(session, end_time(market, day))
    return _bars_response(request, rows, data_label(session.bars), status=status)


def _bars_in(request: ApiRequest, first: date, last: date) -> Bars:
    """Return the ticker's bars of a range within the plan's history; none for an unknown ticker, as at the vendor."""
    ticker, market = request.path["ticker"], request.market
    clip = market.config.history_edge == "clip"
    first = market.plan.first_day(first, last, market.today(calendar_of(ticker)), clip=clip)
    return market.bars(ticker, first, last, adjust=request.adjusted)


def _bar_of(request: ApiRequest, ticker: str) -> Bars:
    day = request.day()
    request.market.plan.check_day(day, request.market.today(calendar_of(ticker)))
    bars = request.market.bars(ticker, day, day, adjust=request.adjusted)
    if not len(bars):
        raise RejectedRequestError(NO_DATA)
    return bars


def _whole_day_rows(bars: Bars, ticker: str) -> Iterable[Row]:
    """Return the bars as rows of the whole-day endpoints: with the ticker, and the end of the day as `t`."""
    market = calendar_of(ticker)
    return to_rows(bars, [end_time(market, day) for day in bars["day"].tolist()], ticker)


def _bars_response(
    request: ApiRequest,
    found: list[Row] | SessionRows,
    data: Data | None,
    *,
    ticker: str | None = None,
    status: str = "OK",
    more: dict[str, str] | None = None,
) -> EndpointResponse:
    """Build a response with the vendor's order of keys; without bars it has neither `results` nor `count`."""
    named = {} if ticker is None else {"ticker": ticker}
    body: dict[str, Any] = {**named, "queryCount": len(found), "resultsCount": len(found), "adjusted": request.adjusted}
    if len(found):
        body["results"] = found
    body |= request.envelope(status=status, **({"count": len(found)} if len(found) else {}), **(more or {}))
    return EndpointResponse(body, data)


def _is_descending(request: ApiRequest) -> bool:
    return request.parameters.get("sort") == "desc"
