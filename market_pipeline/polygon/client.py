"""The vendor's client: one method for each endpoint, returning bars and records.

Requests are made by `http`; bodies are read by `parsing` and `reference`.
"""

import logging
from collections.abc import Sequence
from datetime import date
from typing import Self, TypeVar

from pydantic import SecretStr

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import MARKETS, Market
from market_pipeline.core.sessions import find_calendar, list_sessions
from market_pipeline.core.settings import Settings, Source
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.polygon.http import VendorConnection
from market_pipeline.polygon.limiter import Limiter
from market_pipeline.polygon.market_parsing import parse_market_session
from market_pipeline.polygon.parsing import (
    GroupedBars,
    Record,
    parse_range_bars,
    read_bar_records,
    read_objects,
)
from market_pipeline.polygon.reference import (
    DIVIDENDS,
    SPLITS,
    Dividend,
    EventEndpoint,
    FetchedEvents,
    Split,
    Ticker,
    TickerEvents,
    TickerList,
    read_all,
    read_list_date,
    read_ticker,
    read_ticker_events,
)
from market_pipeline.polygon.sending import OnWait, RequestTrace, RetryPolicy, SelfClosing, ignore_wait, request_trace
from market_pipeline.polygon.vendor_errors import PlanError, UnknownEndpointError, UnknownTickerError

log = logging.getLogger(__name__)

T = TypeVar("T")

AS_TRADED = {"adjusted": "false"}
BARS_PER_PAGE = 50_000
MAX_PAGES_OF_BARS = 10
"""One page holds two centuries of daily bars; the others allow for a vendor that lowers its limit."""

TICKERS_PER_PAGE = "1000"
"""The vendor's limit."""

_GROUPED_PATHS = {market.calendar: market.grouped for market in MARKETS.values()}


class PolygonClient(SelfClosing):
    """Client of the vendor, or of a sandbox. Thread-safe; a context manager that closes its sockets.

    Every method raises a subclass of `PolygonError`, whose `requests` is the number of requests that were made.

    Args:
        base_url: the URL of the vendor, a gateway or a sandbox.
        api_key: the vendor key; a sandbox needs none.
        source: the expected sender of responses; one from another sender is rejected.
        limiter: acquired before every request, retries and pages included.
        retry_policy: timeouts and retries.
        on_wait: called with the seconds and the reason of each wait: after a "rate limit", before a "retry".

    Raises:
        MissingKeyError: the vendor needs a key and there is none.
        BadKeyError: the key has characters that no key has.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        *,
        source: Source,
        limiter: Limiter,
        retry_policy: RetryPolicy | None = None,
        on_wait: OnWait = ignore_wait,
    ) -> None:
        self.source = source
        self._connection = VendorConnection(
            base_url,
            api_key,
            source=source,
            limiter=limiter,
            retry_policy=retry_policy or RetryPolicy(),
            on_wait=on_wait,
        )
        self._older_api = False  # set once only the older endpoints for splits and dividends have succeeded

    @classmethod
    def from_settings(cls, settings: Settings, limiter: Limiter, on_wait: OnWait = ignore_wait) -> Self:
        """Create the client that the settings describe.

        Raises:
            MissingKeyError: the source is the vendor and POLYGON_API_KEY is not set.
            BadKeyError: POLYGON_API_KEY has characters that no key has.
        """
        return cls(
            settings.vendor_url,
            settings.vendor_key,
            source=settings.source,
            limiter=limiter,
            on_wait=on_wait,
        )

    def close(self) -> None:
        """Close the open sockets."""
        self._connection.close()

    def fetch_daily_bars(self, symbol: Symbol, start: date, end: date) -> FetchedBars:
        """Fetch the symbol's daily bars from `start` to `end`, both included, as traded, in the vendor's order.

        An empty response for dates that have sessions is requested once more. A plan may leave out the oldest dates
        without an error.

        Raises:
            PolygonError: there is no usable response.
        """
        with request_trace(f"{symbol.name} {start} to {end}") as trace:
            records = self._fetch_range(symbol, start, end, trace)
            if not records and list_sessions(symbol.calendar, start, end):
                # Under load the vendor sometimes returns no bars though it has some.
                records = self._fetch_range(symbol, start, end, trace)
            return parse_range_bars(
                records, find_calendar(symbol.calendar).timezone, trace.requests, trace.waited_seconds
            )

    def fetch_grouped_bars(self, calendar_name: str, session: date) -> GroupedBars:
        """Fetch one session's bars of the calendar's whole market, as traded, by vendor ticker.

        Args:
            calendar_name: `XNYS` for stocks and ETFs, `24/7` for crypto.
            session: a date; if it is a session, an empty response is requested once more.

        Raises:
            PolygonError: there is no usable response.
            UnknownCalendarError: there is no such calendar.
        """
        market = find_calendar(calendar_name)
        with request_trace(f"all of {calendar_name} on {session}") as trace:
            records = self._fetch_grouped(calendar_name, session, trace)
            return GroupedBars(records, market, session, trace.requests, trace.waited_seconds)

    def fetch_market_session(self, market: Market, session: date) -> MarketSession:
        """Fetch one session's bars of a whole market by a grouped request, as traded. `MarketFetcher` reads files too.

        Raises:
            PolygonError: there is no usable response.
        """
        with request_trace(f"{market.title} on {session}") as trace:
            records = self._fetch_grouped(market.calendar, session, trace)
            return parse_market_session(records, market, session, trace)

    def fetch_splits(self, start: date, end: date, symbols: Sequence[Symbol] | None = None) -> FetchedEvents[Split]:
        """Fetch splits executed from `start` to `end`, both included: of these symbols, or of the whole market.

        Of up to TICKERS_PER_REQUEST symbols in one request; if only the older endpoints are there, in one each.

        Raises:
            PolygonError: there is no usable response.
        """
        return self._fetch_events(SPLITS, start, end, symbols)

    def fetch_dividends(
        self, start: date, end: date, symbols: Sequence[Symbol] | None = None
    ) -> FetchedEvents[Dividend]:
        """Fetch dividends with an ex-date from `start` to `end`, both included: of these symbols, or of all.

        Requests are as those of `fetch_splits`.

        Raises:
            PolygonError: there is no usable response.
        """
        return self._fetch_events(DIVIDENDS, start, end, symbols)

    def fetch_ticker(self, symbol: Symbol) -> Ticker:
        """Fetch the vendor's reference data of a symbol. Of a ticker that was delisted more than once, the last.

        Raises:
            UnknownTickerError: the vendor has no such ticker; the message names the nearest ones.
            PolygonError: there is no usable response.
        """
        with request_trace(f"ticker {symbol.vendor_ticker}") as trace:
            for active in ("true", "false"):
                tickers = self._fetch_tickers({"ticker": symbol.vendor_ticker, "active": active}, trace)
                if tickers:
                    return max(tickers, key=lambda ticker: ticker.delisted or date.min)
            near = self._fetch_tickers(_build_search_params(symbol.name, symbol.asset_class), trace)
            others = [ticker.ticker for ticker in near if ticker.ticker != symbol.vendor_ticker]
            names = ("one of " if len(others) > 1 else "") + ", ".join(others[:5])
            advice = f"Did you mean {names}?" if others else "Check it; tickers are case-sensitive"
            raise UnknownTickerError(f"the vendor knows no ticker {symbol.vendor_ticker}. {advice}")

    def fetch_list_date(self, symbol: Symbol) -> date | None:
        """Fetch the date on which a listed symbol was first traded; None if the vendor has none.

        Raises:
            UnknownTickerError: no such ticker is listed.
            PolygonError: there is no usable response.
        """
        if symbol.asset_class is AssetClass.CRYPTO:
            return None
        with request_trace(f"details of {symbol.vendor_ticker}") as trace:
            return read_list_date(self._connection.get(f"/v3/reference/tickers/{symbol.vendor_ticker}", {}, trace))

    def search_tickers(self, words: str, asset_class: AssetClass) -> list[Ticker]:
        """Search the vendor's active tickers for `words` in ticker or name; at most ten are returned.

        Raises:
            PolygonError: there is no usable response.
        """
        with request_trace("ticker search") as trace:
            return self._fetch_tickers(_build_search_params(words, asset_class), trace)

    def fetch_ticker_list(self, market: Market, *, active: bool) -> TickerList:
        """Fetch the vendor's list of a market's tickers, all pages of it: those listed now, or those delisted.

        The list lacks tickers that have bars, so it only adds to what the bars say.

        Raises:
            PolygonError: there is no usable response.
        """
        params = {
            "market": _choose_reference_market(market.asset_class), "active": str(active).lower(), "sort": "ticker",
            "order": "asc", "limit": TICKERS_PER_PAGE,
        }  # fmt: skip
        with request_trace(f"the list of {'active' if active else 'delisted'} {market.title}") as trace:
            records = self._fetch_pages([("/v3/reference/tickers", params)], trace)
            tickers = read_all(read_ticker, records, trace.about)
            return TickerList(tickers, trace.requests, trace.waited_seconds)

    def fetch_ticker_events(self, symbol: Symbol) -> TickerEvents:
        """Fetch all tickers of the security that has this one now.

        Bars are stored under the ticker traded at the time, so bars from before the last change are another security's.

        Raises:
            UnknownTickerError: the vendor has no such ticker.
            PolygonError: there is no usable response.
        """
        with request_trace(f"ticker changes of {symbol.vendor_ticker}") as trace:
            path = f"/vX/reference/tickers/{symbol.vendor_ticker}/events"
            return read_ticker_events(self._connection.get(path, {"types": "ticker_change"}, trace), trace.about)

    def fetch_holder(self, symbol: Symbol, day: date) -> Ticker | None:
        """Fetch the reference data of the security that had a ticker on a date; None if none had it.

        Raises:
            PolygonError: there is no usable response.
        """
        with request_trace(f"ticker {symbol.vendor_ticker} on {day}") as trace:
            tickers = self._fetch_tickers({"ticker": symbol.vendor_ticker, "date": str(day), "active": "true"}, trace)
            return tickers[0] if tickers else None

    def _fetch_events(
        self, endpoint: EventEndpoint[T], start: date, end: date, symbols: Sequence[Symbol] | None
    ) -> FetchedEvents[T]:
        equities = [symbol for symbol in symbols or () if symbol.asset_class is not AssetClass.CRYPTO]
        tickers = None if symbols is None else [symbol.vendor_ticker for symbol in equities]
        with request_trace(f"{endpoint.name} of {_name_tickers(tickers)} {start} to {end}") as trace:
            records = self._fetch_records(endpoint, start, end, tickers, trace)
            events, unreadable = endpoint.read_all(records, trace.about)
            return FetchedEvents(tickers, events, unreadable, trace.requests, trace.waited_seconds)

    def _fetch_records(
        self, endpoint: EventEndpoint[T], start: date, end: date, tickers: Sequence[str] | None, trace: RequestTrace
    ) -> list[Record]:
        if not self._older_api:
            try:
                return self._fetch_pages(endpoint.requests(start, end, tickers, older=False), trace)
            except (PlanError, UnknownEndpointError, UnknownTickerError) as error:
                log.info("Using the older endpoint: %s", error)
        records = self._fetch_pages(endpoint.requests(start, end, tickers, older=True), trace)
        self._older_api = True
        return records

    def _fetch_pages(self, requests: Sequence[tuple[str, dict[str, str]]], trace: RequestTrace) -> list[Record]:
        return [
            record
            for path, params in requests
            for body in self._connection.pages(path, params, trace)
            for record in read_objects(body, trace.about)
        ]

    def _fetch_tickers(self, params: dict[str, str], trace: RequestTrace) -> list[Ticker]:
        body = self._connection.get("/v3/reference/tickers", params, trace)
        return read_all(read_ticker, read_objects(body, trace.about), trace.about)

    def _fetch_range(self, symbol: Symbol, start: date, end: date, trace: RequestTrace) -> list[Record]:
        path = f"/v2/aggs/ticker/{symbol.vendor_ticker}/range/1/day/{start}/{end}"
        params = {**AS_TRADED, "sort": "asc", "limit": str(BARS_PER_PAGE)}
        records: list[Record] = []
        for body in self._connection.pages(path, params, trace, keep=AS_TRADED, max_pages=MAX_PAGES_OF_BARS):
            records += read_bar_records(body, trace.about, ticker=symbol.vendor_ticker)
        return records

    def _fetch_grouped(self, calendar_name: str, session: date, trace: RequestTrace) -> list[Record]:
        """Return the records of a grouped response. One that is empty, of a session, is requested once more."""
        path = f"/v2/aggs/grouped/locale/{_GROUPED_PATHS[calendar_name]}/{session}"
        records = read_bar_records(self._connection.get(path, AS_TRADED, trace), trace.about)
        if not records and list_sessions(calendar_name, session, session):
            records = read_bar_records(self._connection.get(path, AS_TRADED, trace), trace.about)
        return records


def _name_tickers(tickers: Sequence[str] | None) -> str:
    if tickers is None:
        return "all"
    return ", ".join(tickers) if len(tickers) <= 3 else f"{tickers[0]} and {len(tickers) - 1} more"


def _build_search_params(words: str, asset_class: AssetClass) -> dict[str, str]:
    return {"search": words, "market": _choose_reference_market(asset_class), "active": "true", "limit": "10"}


def _choose_reference_market(asset_class: AssetClass) -> str:
    return "crypto" if asset_class is AssetClass.CRYPTO else "stocks"
