"""The endpoints of daily bars: range, grouped, previous day, open and close. `bar_bodies` writes their responses."""

from datetime import date, timedelta

from market_pipeline.core.sessions import find_calendar
from market_pipeline.sandbox.bar_arrays import Bars, label_data, to_columns
from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.listings import find_ticker_calendar
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.bar_bodies import (
    build_bars_body,
    build_crypto_open_close_body,
    build_open_close_body,
    build_range_body,
    build_whole_day_rows,
    parse_range,
)
from market_pipeline.vendor_format.error_bodies import NO_DATA, RejectedRequestError


def read_range(request: ApiRequest) -> EndpointResponse:
    """Return one ticker's bars over a range, a page at a time.

    Raises:
        RejectedRequestError: the range can't be parsed or is beyond the plan, or bars within a day are requested.
    """
    market = find_ticker_calendar(request.path["ticker"])
    bar_range = parse_range(request, market)
    bars = _read_range_bars(request, bar_range.first, bar_range.last)
    page = (bars[::-1] if request.is_descending else bars)[: bar_range.limit + 1]
    status = request.market.plan.find_status(bar_range.last, request.market.find_today(market))
    body = build_range_body(request, bar_range, market, to_columns(page), status=status)
    return EndpointResponse(body, label_data(page[: bar_range.limit]))


def read_grouped_stocks(request: ApiRequest) -> EndpointResponse:
    """Return one day's bars of all stocks, in no order.

    Raises:
        RejectedRequestError: the date can't be parsed or is beyond the plan.
    """
    return _read_grouped(request, "XNYS")


def read_grouped_crypto(request: ApiRequest) -> EndpointResponse:
    """Return one day's bars of all crypto pairs, in no order.

    Raises:
        RejectedRequestError: the date can't be parsed or is beyond the plan.
    """
    return _read_grouped(request, "24/7")


def read_previous_day(request: ApiRequest) -> EndpointResponse:
    """Return the ticker's last bar before today."""
    ticker = request.path["ticker"]
    market = find_ticker_calendar(ticker)
    yesterday = request.market.find_today(market) - timedelta(days=1)
    bars = request.market.read_bars(ticker, yesterday - timedelta(days=14), yesterday, adjust=request.adjusted)[-1:]
    rows = build_whole_day_rows(market, to_columns(bars), [ticker] * len(bars))
    return EndpointResponse(build_bars_body(request, rows, ticker=ticker), label_data(bars))


def read_open_close(request: ApiRequest) -> EndpointResponse:
    """Return one stock's bar of one day under spelt-out field names.

    Raises:
        RejectedRequestError: there is none, or the date can't be parsed or is beyond the plan.
    """
    bars = _read_bar(request, request.path["ticker"])
    return EndpointResponse(build_open_close_body(request, bars[0]), label_data(bars))


def read_crypto_open_close(request: ApiRequest) -> EndpointResponse:
    """Return one crypto pair's open and close of one UTC day.

    Raises:
        RejectedRequestError: there is none, or the date can't be parsed or is beyond the plan.
    """
    bars = _read_bar(request, f"X:{request.path['base']}{request.path['quote']}")
    return EndpointResponse(build_crypto_open_close_body(request, bars[0]), label_data(bars))


def _read_grouped(request: ApiRequest, calendar_name: str) -> EndpointResponse:
    market, day = find_calendar(calendar_name), request.day()
    today = request.market.find_today(market)
    request.market.plan.check_day(day, today)
    session = request.market.read_session_bars(market, day, adjust=request.adjusted)
    rows = build_whole_day_rows(market, to_columns(session.bars), session.tickers)
    status = request.market.plan.find_status(day, today)
    return EndpointResponse(build_bars_body(request, rows, status=status), label_data(session.bars))


def _read_range_bars(request: ApiRequest, first: date, last: date) -> Bars:
    """Return the ticker's bars of a range within the plan's history; none for an unknown ticker, as at the vendor."""
    ticker, market = request.path["ticker"], request.market
    clip = market.config.history_edge == "clip"
    first = market.plan.find_first_day(first, last, market.find_today(find_ticker_calendar(ticker)), clip=clip)
    return market.read_bars(ticker, first, last, adjust=request.adjusted)


def _read_bar(request: ApiRequest, ticker: str) -> Bars:
    day = request.day()
    request.market.plan.check_day(day, request.market.find_today(find_ticker_calendar(ticker)))
    bars = request.market.read_bars(ticker, day, day, adjust=request.adjusted)
    if not len(bars):
        raise RejectedRequestError(NO_DATA)
    return bars
