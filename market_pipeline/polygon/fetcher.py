"""The bars that one run wants, in the fewest requests, each made when it is first needed and never twice.

What the account's plan refuses is left out and said, and the rest is fetched: the newest session where the plan gives
it only after the end of the day, and a history that is longer than the plan's.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pandas as pd

from market_pipeline.core.bars import FetchedBars, empty_frame
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.plans import Plan, years_before
from market_pipeline.core.sessions import calendar
from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.market_day_cache import MarketDays, NoRoomError
from market_pipeline.polygon.parsing import GroupedBars
from market_pipeline.polygon.request_planning import GroupedRequest, RangeRequest, plan_requests
from market_pipeline.polygon.vendor_errors import BadKeyError, NotYetAvailableError, PlanError, PolygonError

LIMITED_HISTORIES = (10, 5, 2)
"""The years of history of the vendor's limited plans, longest first: what is tried where the plan isn't known."""

DAY_ENDS_WITHIN = timedelta(days=1)
"""How long a session may be refused as not over: until midnight in New York it is the next day in UTC already."""

LONG_WEEKEND = timedelta(days=4)
"""The most days without a session, but for closures that come once in a generation."""


@dataclass
class _Spent:
    """What a symbol's answers have taken so far: requests, and seconds of waiting for the rate limit."""

    requests: int = 0
    waited_seconds: float = 0.0

    def add(self, more: FetchedBars | GroupedBars | PolygonError) -> None:
        self.requests += more.requests
        self.waited_seconds += more.waited_seconds


class Fetcher:
    """Fetches for one run. Safe to share between threads.

    Args:
        client: asks the vendor.
        symbols: all that the run wants, of one calendar.
        sessions: those it wants of each, oldest first, at least one.
        now: what the plan's limits are counted from.
        plan: the account's, where it is known; else its limits are learnt from what is refused.
    """

    def __init__(
        self,
        client: PolygonClient,
        symbols: Sequence[Symbol],
        sessions: Sequence[date],
        now: datetime,
        plan: Plan | None = None,
    ) -> None:
        self.source = client.source
        self._client = client
        self._today = now.date()
        self._sessions, self._notes = _within(plan, symbols[0].calendar, sessions, now)
        self._refused_for_good: PolygonError | None = None
        requests = plan_requests(dict.fromkeys(symbols, self._sessions)).requests
        self._ranged = {request.symbol for request in requests if isinstance(request, RangeRequest)}
        self._days_to_ask = [request for request in requests if isinstance(request, GroupedRequest)]
        self._days = MarketDays({symbol.vendor_ticker for symbol in symbols})
        self._failed_days: dict[date, MarketPipelineError] = {}
        self._lock = threading.RLock()

    def bars(self, symbol: Symbol, last: date = date.max) -> FetchedBars:
        """The symbol's bars of the run's sessions, as far as the plan gives them; `notes` says where it doesn't.

        Requests made for all symbols are counted with the one that first needed them.

        Args:
            symbol: one of the run's.
            last: the last day it traded; nothing after it is asked for by name, or taken from the market's days.

        Raises:
            PolygonError: there is no usable answer.
            NoRoomError: the whole market's days, which many symbols are taken from, can't be kept on disk.
        """
        spent = _Spent()
        while True:
            asked = list(self._sessions)
            if last < asked[0]:  # what it traded on, the plan doesn't give
                found = FetchedBars(empty_frame(), (), 0, tuple(self._notes))
                return replace(found, **vars(spent))
            try:
                fetched = self._range(symbol, asked, last) if symbol in self._ranged else self._from_days(symbol, last)
                if symbol not in self._ranged and fetched.frame.empty:
                    # On none of the days in the market: before that counts as no data, it is asked for by name.
                    spent.add(fetched)
                    fetched = self._range(symbol, asked, last)
            except PolygonError as error:
                spent.add(error)
                if not self._narrowed(asked, error):
                    error.requests, error.waited_seconds = spent.requests, spent.waited_seconds
                    raise
            else:
                spent.add(fetched)
                cut_off = self._cut_off(fetched, asked)
                notes = (*self._notes, *cut_off)
                # A history that may be cut off says nothing of the sessions before it.
                first = fetched.frame["date"].min().date() if cut_off else asked[0]
                answered = (first, min(asked[-1], last))
                return replace(fetched, **vars(spent), notes=notes, answered=answered)

    def _cut_off(self, fetched: FetchedBars, asked: Sequence[date]) -> list[str]:
        """What to say of bars that begin just where a plan's history does: the vendor may cut it off in silence."""
        first = fetched.frame["date"].min()
        if pd.isna(first) or first.date() == asked[0]:
            return []
        return [
            f"the bars begin at {first.date()}, where a plan of {years} years would: yours may start there"
            for years in LIMITED_HISTORIES
            if abs(first.date() - years_before(self._today, years)) <= LONG_WEEKEND
        ]

    def _range(self, symbol: Symbol, sessions: Sequence[date], last: date) -> FetchedBars:
        if self._refused_for_good is not None:
            raise type(self._refused_for_good)(str(self._refused_for_good))
        return self._client.daily_bars(symbol, sessions[0], min(sessions[-1], last))

    def _from_days(self, symbol: Symbol, last: date) -> FetchedBars:
        """The symbol's bars out of the whole market's, each day of which is asked for once."""
        spent = _Spent()
        with self._lock:
            for request in self._days_to_ask:
                if request.session not in self._days and request.session in self._sessions:
                    spent.add(self._kept(request))
            return replace(self._days.bars(symbol.vendor_ticker, last), **vars(spent))

    def _kept(self, request: GroupedRequest) -> GroupedBars:
        """A day of the whole market, kept. What has failed once is not tried again for the other symbols."""
        if known := self._failed_days.get(request.session):
            raise type(known)(str(known))
        try:
            market = self._client.grouped_bars(request.calendar, request.session)
            self._days.add(request.session, market)
        except (PolygonError, NoRoomError) as error:
            self._failed_days[request.session] = error
            raise
        return market

    def _narrowed(self, asked: Sequence[date], error: PolygonError) -> bool:
        """Leave out what the plan refuses, for this symbol and those after it; False where nothing would be left."""
        with self._lock:
            if list(asked) != self._sessions:
                return True  # another thread has met the same refusal and narrowed already
            if isinstance(error, BadKeyError):
                self._refused_for_good = error
            left, note = self._allowed(error)
            if left:
                self._sessions = left
                self._notes = [*self._notes, note] if note not in self._notes else self._notes
            return bool(left)

    def _allowed(self, error: PolygonError) -> tuple[list[date], str]:
        """What may be left to ask after a refusal, and what to say of the rest; nothing if the refusal is another's."""
        if isinstance(error, NotYetAvailableError) and self._today - self._sessions[-1] <= DAY_ENDS_WITHIN:
            return self._sessions[:-1], _not_yet(self._sessions[-1])
        if isinstance(error, PlanError):
            starts = [years_before(self._today, years) for years in LIMITED_HISTORIES]
            start = next((start for start in starts if start > self._sessions[0]), date.max)
            self._notes = [note for note in self._notes if not note.startswith("your plan starts")]
            return [day for day in self._sessions if day >= start], _history_starts(start)
        return [], ""


def _within(
    plan: Plan | None, calendar_name: str, sessions: Sequence[date], now: datetime
) -> tuple[list[date], list[str]]:
    """The sessions that a known plan gives, and what to say of the others. All of them where it would give none.

    So that the vendor itself says no, in its own words, where nothing can be had.
    """
    if plan is None:
        return list(sessions), []
    start = plan.history_start(calendar_name, now.date())
    timezone = calendar(calendar_name).timezone
    given = [day for day in sessions if day >= start and plan.offers(day, timezone, now)]
    if not given:
        return list(sessions), []
    old = [_history_starts(start)] if given[0] != sessions[0] else []
    return given, [*old, *(_not_yet(day) for day in sessions if day > given[-1])]


def _not_yet(session: date) -> str:
    return f"the bars of {session} can't be had yet on your plan; the next run picks them up"


def _history_starts(start: date) -> str:
    return f"your plan starts at {start}"
