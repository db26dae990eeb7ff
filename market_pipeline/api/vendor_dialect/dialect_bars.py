"""The endpoints of daily bars in the vendor's dialect: range, grouped, previous day, open and close."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from market_pipeline.api.vendor_dialect.dialect_request import DialectRequest
from market_pipeline.api.vendor_dialect.stored_rows import NO_ROWS, read_range, read_session
from market_pipeline.api.vendor_dialect.ticker_spans import TickerSpans, choose_calendar
from market_pipeline.core.markets import MARKETS, Market
from market_pipeline.core.sessions import find_calendar, list_sessions
from market_pipeline.vendor_format.bar_bodies import (
    build_bars_body,
    build_crypto_open_close_body,
    build_daily_body,
    build_open_close_body,
    build_range_body,
    build_whole_day_rows,
    parse_range,
)
from market_pipeline.vendor_format.error_bodies import (
    NO_DATA,
    Body,
    ErrorBody,
    RejectedRequestError,
    describe_day_not_over,
)
from market_pipeline.warehouse.universe import NoUniverseError, require_universe

RECENT = timedelta(days=14)
"""Age of the oldest bar that counts as the previous day's."""

IS_TRACKED = "SELECT EXISTS (SELECT FROM markets WHERE market = %s AND active)"


class BarEndpoints:
    """The endpoints of daily bars."""

    def __init__(self, spans: TickerSpans) -> None:
        self._spans = spans

    async def read_range(self, request: DialectRequest) -> Body:
        """Return one ticker's bars over a range, a page at a time.

        Raises:
            RejectedRequestError: the range can't be parsed, bars within a day are requested, or adjusted prices that
                are not known.
            ProblemError: the database can't be reached.
        """
        ticker = request.path["ticker"]
        spans = await self._spans.find(ticker, request.as_of)
        market = choose_calendar(ticker, spans)
        bar_range = parse_range(request, market)
        found = await read_range(
            request, spans, bar_range.first, bar_range.last, bar_range.limit + 1, descending=request.is_descending
        )
        if bar_range.windows.is_daily:
            return build_daily_body(request, bar_range, found, keep=request.kept)
        return build_range_body(request, bar_range, market, found.to_columns(), keep=request.kept)

    async def read_previous_day(self, request: DialectRequest) -> Body:
        """Return the ticker's last bar before today.

        Raises:
            RejectedRequestError: its adjusted prices are requested, and not known.
            ProblemError: the database can't be reached.
        """
        ticker = request.path["ticker"]
        spans = await self._spans.find(ticker, request.as_of)
        market = choose_calendar(ticker, spans)
        yesterday = request.now.astimezone(market.timezone).date() - timedelta(days=1)
        found = await read_range(request, spans, yesterday - RECENT, yesterday, 1, descending=True)
        rows = build_whole_day_rows(market, found.to_columns(), [ticker] * len(found))
        return build_bars_body(request, rows, ticker=ticker)

    async def read_open_close(self, request: DialectRequest) -> Body:
        """Return one stock's bar of one day under spelt-out field names.

        Raises:
            RejectedRequestError: there is none, or the date can't be parsed.
            ProblemError: the database can't be reached.
        """
        return build_open_close_body(request, await self._read_day(request, request.path["ticker"]))

    async def read_crypto_open_close(self, request: DialectRequest) -> Body:
        """Return one crypto pair's open and close of one UTC day.

        Raises:
            RejectedRequestError: there is none, or the date can't be parsed.
            ProblemError: the database can't be reached.
        """
        pair = f"X:{request.path['base']}{request.path['quote']}"
        return build_crypto_open_close_body(request, await self._read_day(request, pair))

    async def _read_day(self, request: DialectRequest, ticker: str) -> Mapping[str, Any]:
        day = request.day()
        found = await read_range(request, await self._spans.find(ticker, request.as_of), day, day, 1)
        if not found:
            raise RejectedRequestError(NO_DATA)
        return found.to_list()[0]


async def read_grouped_stocks(request: DialectRequest) -> Body:
    """Return one session's bars of all stocks and funds.

    Raises:
        RejectedRequestError: the date or `adjusted` can't be parsed, the session is not stored, or adjusted prices are
            not known.
        ProblemError: the database can't be reached.
    """
    return await _read_grouped(request, MARKETS["us_stocks"])


async def read_grouped_crypto(request: DialectRequest) -> Body:
    """Return one day's bars of all crypto pairs.

    Raises:
        RejectedRequestError: the date or `adjusted` can't be parsed, or the day is not stored.
        ProblemError: the database can't be reached.
    """
    return await _read_grouped(request, MARKETS["crypto"])


async def _read_grouped(request: DialectRequest, market: Market) -> Body:
    day, trading = request.day(), find_calendar(market.calendar)
    adjustment = request.adjustment  # a wrong one is an error on any day
    if day >= request.now.astimezone(trading.timezone).date():
        raise RejectedRequestError(describe_day_not_over(day, request.as_of))
    if not list_sessions(trading.name, day, day):
        return build_bars_body(request, NO_ROWS)
    await _check_whole(request, market)
    found = await read_session(request, trading, day, adjustment)
    if not found:
        raise RejectedRequestError(ErrorBody(404, "NOT_FOUND", f"No bar of {day} {_describe_stored(request.as_of)}."))
    return build_bars_body(request, found)


def _describe_stored(as_of: datetime | None) -> str:
    return "is stored" if as_of is None else f"was stored as of {as_of.isoformat()}"


async def _check_whole(request: DialectRequest, market: Market) -> None:
    """Check that a session of a tracked market is stored whole.

    Raises:
        RejectedRequestError: it is not.
    """
    context = request.context
    [is_tracked] = await context.reader.row(IS_TRACKED, [market.name])
    if not is_tracked:
        return  # the market is that of the tracked symbols
    try:
        await asyncio.to_thread(require_universe, context.warehouse, market, request.day(), request.as_of)
    except NoUniverseError as error:
        raise RejectedRequestError(ErrorBody(404, "NOT_FOUND", str(error))) from None
