"""Fetching for one run: the planned requests, each made when its bars are first needed, and only once.

A symbol's bars are requested under each ticker that it has had, each for its own sessions.
Sessions that the vendor's plan excludes are left out with a note and the others are fetched: the newest session on a
plan that serves it only after the end of the day, and sessions older than the plan's history.
"""

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from market_pipeline.core.bars import FetchedBars, make_empty_bars
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.plans import VendorPlan, subtract_years
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory, TickerSpan, list_spans
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.market_day_cache import MarketDayCache, NoDiskSpaceError
from market_pipeline.polygon.parsing import GroupedBars
from market_pipeline.polygon.plan_sessions import (
    LIMITED_HISTORIES,
    apply_plan,
    find_next_history_start,
    note_history_start,
    note_not_yet,
)
from market_pipeline.polygon.request_planning import GroupedRequest, RangeRequest, plan_requests
from market_pipeline.polygon.series import join_series
from market_pipeline.polygon.vendor_errors import BadKeyError, NotYetAvailableError, PlanError, PolygonError

DAY_ENDS_WITHIN = timedelta(days=1)
"""Longest time a session may be rejected as not over: before midnight in New York it is the next day in UTC."""

LONG_WEEKEND = timedelta(days=4)
"""The most days without a session, except for the rare long closures such as that of September 2001."""


@dataclass
class _RequestCost:
    """Cost of a symbol's responses so far: the number of requests, and the seconds of waiting for the rate limit."""

    requests: int = 0
    waited_seconds: float = 0.0

    def add(self, more: FetchedBars | GroupedBars | PolygonError) -> None:
        self.requests += more.requests
        self.waited_seconds += more.waited_seconds


class Fetcher:
    """Fetches the bars of one run. Safe to share between threads.

    Args:
        client: the vendor's client.
        symbols: all symbols of the run, of one calendar.
        sessions: the sessions to fetch for each symbol, oldest first, at least one.
        now: the instant that the plan's limits are counted from.
        plan: the vendor plan if it is known; if None, its limits are learnt from rejected requests.
        histories: ticker histories of the symbols; one that is missing has always had its own ticker.
    """

    def __init__(
        self,
        client: PolygonClient,
        symbols: Sequence[Symbol],
        sessions: Sequence[date],
        now: datetime,
        plan: VendorPlan | None = None,
        histories: Mapping[Symbol, TickerHistory] | None = None,
    ) -> None:
        self.source = client.source
        self._client = client
        self._today = now.date()
        self._sessions, self._notes = _select_sessions_of_plan(plan, symbols[0].calendar, sessions, now)
        self._key_error: PolygonError | None = None
        self._histories = {symbol: (histories or {}).get(symbol) or TickerHistory.assume(symbol) for symbol in symbols}
        spans = list_spans(self._histories, self._sessions)
        requests = plan_requests(spans).requests
        ranged = {request.symbol.ticker.vendor_ticker for request in requests if isinstance(request, RangeRequest)}
        self._by_day = {span.ticker.vendor_ticker for span in spans} - ranged
        self._grouped_requests = [request for request in requests if isinstance(request, GroupedRequest)]
        self._market_days = MarketDayCache(self._by_day)
        self._failed_days: dict[date, MarketPipelineError] = {}
        self._lock = threading.RLock()

    def fetch_bars(self, symbol: Symbol, last: date = date.max, history: TickerHistory | None = None) -> FetchedBars:
        """Fetch the symbol's bars of the run's sessions; `notes` names sessions that the plan doesn't serve.

        Requests made for all symbols are counted with the symbol that first needed them.

        Args:
            symbol: one of the run's.
            last: the last day it traded; no later session is fetched for it.
            history: its ticker history, if that was found out since the run began.

        Raises:
            PolygonError: there is no usable response.
            NoDiskSpaceError: the grouped responses can't be cached on disk.
        """
        cost = _RequestCost()
        while True:
            sessions = list(self._sessions)
            if last < sessions[0]:  # it traded only on sessions that the plan doesn't serve
                return replace(FetchedBars(make_empty_bars(), (), 0, tuple(self._notes)), **vars(cost))
            try:
                fetched = self._fetch_series(symbol, history or self._histories[symbol], sessions, last, cost)
            except PolygonError as error:
                cost.add(error)
                if not self._narrow_sessions(sessions, error):
                    error.requests, error.waited_seconds = cost.requests, cost.waited_seconds
                    raise
            else:
                cut_off = self._note_cut_history(fetched, sessions)
                notes = (*self._notes, *cut_off)
                # A history that may be cut off confirms no empty session before it.
                first = fetched.dates[0] if cut_off and fetched.dates else sessions[0]
                answered = (first, min(sessions[-1], last))
                return replace(fetched, **vars(cost), notes=notes, answered=answered)

    def _fetch_series(
        self, symbol: Symbol, history: TickerHistory, sessions: Sequence[date], last: date, cost: _RequestCost
    ) -> FetchedBars:
        """Fetch the bars under each of the symbol's tickers, and join them. Adds to `cost` what it takes."""
        spans = [span for span in history.spans(symbol, sessions) if span.sessions[0] <= last]
        by_day = [span.ticker.vendor_ticker in self._by_day for span in spans]
        fetched = [
            self._fetch_from_market_days(span, last, cost) if grouped else self._fetch_range(span, last, cost)
            for span, grouped in zip(spans, by_day, strict=True)
        ]
        if all(by_day) and not any(part.payloads for part in fetched):
            # Missing on all market days: confirmed by requests for the symbol.
            fetched = [self._fetch_range(span, last, cost) for span in spans]
        return join_series(history, list(zip(spans, fetched, strict=True)))

    def _note_cut_history(self, fetched: FetchedBars, sessions: Sequence[date]) -> list[str]:
        """Return a note if the bars begin where a plan's history does, since the vendor may cut it off."""
        first, _ = fetched.dates or (sessions[0], None)
        if first == sessions[0]:
            return []
        return [
            f"the bars begin at {first}, where a plan of {years} years would: yours may start there"
            for years in LIMITED_HISTORIES
            if abs(first - subtract_years(self._today, years)) <= LONG_WEEKEND
        ]

    def _fetch_range(self, span: TickerSpan, last: date, cost: _RequestCost) -> FetchedBars:
        if self._key_error is not None:
            raise type(self._key_error)(str(self._key_error))
        fetched = self._client.fetch_daily_bars(span.ticker, span.sessions[0], min(span.sessions[-1], last))
        cost.add(fetched)
        return fetched

    def _fetch_from_market_days(self, span: TickerSpan, last: date, cost: _RequestCost) -> FetchedBars:
        """Return the span's bars out of the grouped responses; fetch those that are not cached yet."""
        with self._lock:
            for request in self._grouped_requests:
                if request.session not in self._market_days and request.session in self._sessions:
                    cost.add(self._fetch_market_day(request))
            traded = span.sessions[: bisect_right(span.sessions, last)]
            return self._market_days.read_bars(span.ticker.vendor_ticker, traded)

    def _fetch_market_day(self, request: GroupedRequest) -> GroupedBars:
        """Fetch and cache one session of the whole market. A failed session is not fetched again for other symbols."""
        if known := self._failed_days.get(request.session):
            raise type(known)(str(known))
        try:
            market = self._client.fetch_grouped_bars(request.calendar, request.session)
            self._market_days.add(request.session, market)
        except (PolygonError, NoDiskSpaceError) as error:
            self._failed_days[request.session] = error
            raise
        return market

    def _narrow_sessions(self, sessions: Sequence[date], error: PolygonError) -> bool:
        """Leave out the sessions that the plan excludes, for this and later symbols; return False if none remain."""
        with self._lock:
            if list(sessions) != self._sessions:
                return True  # another thread has narrowed them after the same error
            if isinstance(error, BadKeyError):
                self._key_error = error
            remaining, note = self._remaining_sessions(error)
            if remaining:
                self._sessions = remaining
                self._notes = [*self._notes, note] if note not in self._notes else self._notes
            return bool(remaining)

    def _remaining_sessions(self, error: PolygonError) -> tuple[list[date], str]:
        """Return the sessions still to be tried after an error of the plan, and the note; none after other errors."""
        if isinstance(error, NotYetAvailableError) and self._today - self._sessions[-1] <= DAY_ENDS_WITHIN:
            return self._sessions[:-1], note_not_yet(self._sessions[-1])
        if isinstance(error, PlanError):
            start = find_next_history_start(self._sessions[0], self._today)
            self._notes = [note for note in self._notes if not note.startswith("your plan starts")]
            return [day for day in self._sessions if day >= start], note_history_start(start)
        return [], ""


def _select_sessions_of_plan(
    plan: VendorPlan | None, calendar_name: str, sessions: Sequence[date], now: datetime
) -> tuple[list[date], list[str]]:
    """Return the sessions that a known plan serves, and notes on the others.

    If it serves none, all of them are returned, so that the error is the vendor's own.
    """
    limits = apply_plan(plan, calendar_name, sessions, now)
    old = [note_history_start(limits.history_start)] if limits.too_old else []
    return list(limits.available), [*old, *(note_not_yet(day) for day in limits.not_yet)]
