"""The vendor's endpoints as methods that return frames and records.

What is asked and what comes of it; how a request is made is `http`'s business, what a body holds `parsing`'s and
`reference`'s.
"""

import logging
from datetime import date
from types import TracebackType
from typing import Self, TypeVar

from pydantic import SecretStr

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.sessions import calendar, sessions_between
from market_pipeline.core.settings import Settings, Source
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.polygon.http import Connection, OnWait, RequestTrace, RetryPolicy, request_trace
from market_pipeline.polygon.parsing import GroupedBars, Record, bar_records, list_of_objects, range_bars
from market_pipeline.polygon.rate_limit import Limiter
from market_pipeline.polygon.reference import (
    DIVIDENDS,
    SPLITS,
    Dividend,
    Listing,
    Split,
    Ticker,
    TickerChange,
    list_date,
    read_all,
    ticker_changes,
    ticker_of,
)
from market_pipeline.polygon.vendor_errors import PlanError, UnknownEndpointError, UnknownTickerError

log = logging.getLogger(__name__)

T = TypeVar("T")

AS_TRADED = {"adjusted": "false"}
BARS_PER_PAGE = 50_000
MOST_PAGES_OF_BARS = 10
"""One page holds two centuries of daily bars; a few more are for a vendor that lowers its limit."""

_GROUPED_MARKETS = {"XNYS": "us/market/stocks", "24/7": "global/market/crypto"}


def _say_nothing(_seconds: float, _reason: str) -> None:
    """What a wait is answered with where nobody wants to know."""


class PolygonClient:
    """Asks the vendor, or a sandbox. Safe to share between threads; a context manager that closes its sockets.

    Every method raises a `PolygonError` of the kind that fits, whose `requests` says how many requests were made.

    Args:
        base_url: the vendor's address, a gateway's or a sandbox's.
        api_key: the account's key; a sandbox needs none.
        source: who is expected to answer there. What another answers is refused.
        limiter: asked before every request, retries and pages included.
        patience: timeouts and retries.
        on_wait: told the seconds and the reason ("rate limit", after it; "retry", before it) of each wait.

    Raises:
        MissingKeyError: the vendor is to be asked without a key.
        BadKeyError: the key can't be one.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        *,
        source: Source,
        limiter: Limiter,
        patience: RetryPolicy | None = None,
        on_wait: OnWait = _say_nothing,
    ) -> None:
        self.source = source
        self._connection = Connection(
            base_url, api_key, source=source, limiter=limiter, patience=patience or RetryPolicy(), on_wait=on_wait
        )
        self._older_api = False  # set once only the older endpoints for splits and dividends have answered

    @classmethod
    def from_settings(cls, settings: Settings, limiter: Limiter, on_wait: OnWait = _say_nothing) -> Self:
        """The client that the settings describe.

        Raises:
            MissingKeyError: the vendor is to be asked and POLYGON_API_KEY is not set.
            BadKeyError: POLYGON_API_KEY can't be a key.
        """
        return cls(
            settings.vendor_url,
            settings.vendor_key,
            source=settings.source,
            limiter=limiter,
            on_wait=on_wait,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets kept open."""
        self._connection.close()

    def daily_bars(self, symbol: Symbol, start: date, end: date) -> FetchedBars:
        """The symbol's daily bars from `start` to `end`, both included, as traded, in the vendor's order.

        The frame is empty where the vendor has none; if there were sessions, it was asked twice. A plan may cut off the
        oldest dates without saying so.

        Raises:
            PolygonError: there is no usable answer.
        """
        with request_trace(f"{symbol.name} {start} to {end}") as asked:
            records = self._range(symbol, start, end, asked)
            if not records and sessions_between(symbol.calendar, start, end):
                # Under load the vendor sometimes answers "no bars" where there are some.
                records = self._range(symbol, start, end, asked)
            return range_bars(records, calendar(symbol.calendar).timezone, asked.requests, asked.waited_seconds)

    def grouped_bars(self, calendar_name: str, session: date) -> GroupedBars:
        """One session's bars of all the calendar's market, as traded, by vendor ticker; empty if there is none.

        Args:
            calendar_name: `XNYS` for stocks and ETFs, `24/7` for crypto.
            session: a session of it; if it is one and the answer is empty, the vendor was asked twice.

        Raises:
            PolygonError: there is no usable answer.
            UnknownCalendarError: there is no such calendar.
        """
        market = calendar(calendar_name)
        with request_trace(f"all of {calendar_name} on {session}") as asked:
            records = self._grouped(calendar_name, session, asked)
            if not records and sessions_between(calendar_name, session, session):
                records = self._grouped(calendar_name, session, asked)
            return GroupedBars(records, market, session, asked.requests, asked.waited_seconds)

    def splits(self, start: date, end: date, symbol: Symbol | None = None) -> list[Split]:
        """Splits executed from `start` to `end`, both included, oldest first: one symbol's, or the whole market's.

        Raises:
            PolygonError: there is no usable answer.
        """
        return self._events(SPLITS, start, end, symbol)

    def dividends(self, start: date, end: date, symbol: Symbol | None = None) -> list[Dividend]:
        """Dividends with an ex-date from `start` to `end`, both included, oldest first: one symbol's, or everyone's.

        Raises:
            PolygonError: there is no usable answer.
        """
        return self._events(DIVIDENDS, start, end, symbol)

    def ticker(self, symbol: Symbol) -> Ticker:
        """What the vendor knows of a symbol; delisted ones included, of whose listings the last counts.

        Raises:
            UnknownTickerError: it knows no such ticker; the message names the nearest ones.
            PolygonError: there is no usable answer.
        """
        with request_trace(f"ticker {symbol.vendor_ticker}") as asked:
            for active in ("true", "false"):
                found = self._tickers({"ticker": symbol.vendor_ticker, "active": active}, asked)
                if found:
                    return max(found, key=lambda ticker: ticker.delisted or date.min)
            near = self._tickers(_search(symbol.name, symbol.asset_class), asked)
            raise UnknownTickerError(_unknown(symbol, near))

    def list_date(self, symbol: Symbol) -> date | None:
        """The first day on the market of a symbol that is listed; None where the vendor doesn't say.

        Raises:
            UnknownTickerError: no such ticker is listed.
            PolygonError: there is no usable answer.
        """
        if symbol.asset_class is AssetClass.CRYPTO:
            return None
        with request_trace(f"details of {symbol.vendor_ticker}") as asked:
            return list_date(self._connection.get(f"/v3/reference/tickers/{symbol.vendor_ticker}", {}, asked))

    def search_tickers(self, words: str, asset_class: AssetClass) -> list[Ticker]:
        """Up to ten active tickers whose ticker or name is like `words`.

        Raises:
            PolygonError: there is no usable answer.
        """
        with request_trace("ticker search") as asked:
            return self._tickers(_search(words, asset_class), asked)

    def ticker_changes(self, symbol: Symbol) -> list[TickerChange]:
        """The tickers that the company which now has this one has traded as, oldest first.

        Bars are stored under the ticker traded at the time, so that what is before the last change is another's.

        Raises:
            UnknownTickerError: the vendor knows no such ticker.
            PolygonError: there is no usable answer.
        """
        with request_trace(f"ticker changes of {symbol.vendor_ticker}") as asked:
            path = f"/vX/reference/tickers/{symbol.vendor_ticker}/events"
            return ticker_changes(self._connection.get(path, {"types": "ticker_change"}, asked), asked.about)

    def _events(self, listing: Listing[T], start: date, end: date, symbol: Symbol | None) -> list[T]:
        if symbol is not None and symbol.asset_class is AssetClass.CRYPTO:
            return []
        ticker = symbol.vendor_ticker if symbol else None
        with request_trace(f"{listing.name} of {ticker or 'all'} {start} to {end}") as asked:
            if not self._older_api:
                try:
                    return self._listed(listing, listing.request(start, end, ticker, older=False), asked)
                except (PlanError, UnknownEndpointError, UnknownTickerError) as refusal:
                    log.info("Turning to the older endpoint: %s", refusal)
            found = self._listed(listing, listing.request(start, end, ticker, older=True), asked)
            self._older_api = True
            return found

    def _listed(self, listing: Listing[T], request: tuple[str, dict[str, str]], asked: RequestTrace) -> list[T]:
        pages = self._connection.pages(*request, asked)
        records = [record for body in pages for record in list_of_objects(body, asked.about)]
        return read_all(listing.read, records, asked.about)

    def _tickers(self, params: dict[str, str], asked: RequestTrace) -> list[Ticker]:
        body = self._connection.get("/v3/reference/tickers", params, asked)
        return read_all(ticker_of, list_of_objects(body, asked.about), asked.about)

    def _range(self, symbol: Symbol, start: date, end: date, asked: RequestTrace) -> list[Record]:
        path = f"/v2/aggs/ticker/{symbol.vendor_ticker}/range/1/day/{start}/{end}"
        params = {**AS_TRADED, "sort": "asc", "limit": str(BARS_PER_PAGE)}
        records: list[Record] = []
        for body in self._connection.pages(path, params, asked, keep=AS_TRADED, most=MOST_PAGES_OF_BARS):
            records += bar_records(body, asked.about, ticker=symbol.vendor_ticker)
        return records

    def _grouped(self, calendar_name: str, session: date, asked: RequestTrace) -> list[Record]:
        path = f"/v2/aggs/grouped/locale/{_GROUPED_MARKETS[calendar_name]}/{session}"
        return bar_records(self._connection.get(path, AS_TRADED, asked), asked.about)


def _search(words: str, asset_class: AssetClass) -> dict[str, str]:
    market = "crypto" if asset_class is AssetClass.CRYPTO else "stocks"
    return {"search": words, "market": market, "active": "true", "limit": "10"}


def _unknown(symbol: Symbol, near: list[Ticker]) -> str:
    names = ", ".join(ticker.ticker for ticker in near[:5])
    advice = f"Did you mean one of {names}?" if names else "Check it; tickers are case-sensitive"
    return f"the vendor knows no ticker {symbol.vendor_ticker}. {advice}"
