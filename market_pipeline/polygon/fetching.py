"""The bars that one run wants, in the fewest requests, each made when it is first needed and never twice.

What the account's plan refuses is left out and said, and the rest is fetched: the newest session where the plan gives
it only after the end of the day, and a history that is longer than the plan's.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from market_pipeline.bars import FetchedBars
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.errors import BadKeyError, NotYetAvailableError, PlanError, PolygonError
from market_pipeline.polygon.parsing import joined
from market_pipeline.polygon.planning import GroupedRequest, RangeRequest, plan_requests
from market_pipeline.symbols import Symbol

HISTORY_YEARS = (10, 5, 2)
"""How far back the vendor's limited plans reach, longest first. Source: its price list of 2026."""

Day = Mapping[str, FetchedBars]


class Fetcher:
    """Fetches for one run. Safe to share between threads.

    Args:
        client: asks the vendor.
        symbols: all that the run wants, of one calendar.
        sessions: those it wants of each, oldest first, at least one.
        today: the date that the plan's history is counted back from.
    """

    def __init__(self, client: PolygonClient, symbols: Sequence[Symbol], sessions: Sequence[date], today: date) -> None:
        self.source = client.source
        self._client = client
        self._today = today
        self._sessions = list(sessions)
        self._notes: list[str] = []
        self._refused_for_good: PolygonError | None = None
        plan = plan_requests(dict.fromkeys(symbols, sessions))
        self._ranged = {request.symbol for request in plan.requests if isinstance(request, RangeRequest)}
        self._days_to_ask = [request for request in plan.requests if isinstance(request, GroupedRequest)]
        self._days: dict[date, Day] = {}
        self._tickers = {symbol.vendor_ticker for symbol in symbols}
        self._lock = threading.RLock()

    def bars(self, symbol: Symbol) -> FetchedBars:
        """The symbol's bars of the run's sessions, as far as the plan gives them; `notes` says where it doesn't.

        Requests made for all symbols are counted with the one that first needed them.

        Raises:
            PolygonError: there is no usable answer.
        """
        spent = 0
        while True:
            asked = list(self._sessions)
            try:
                fetched = self._range(symbol, asked) if symbol in self._ranged else self._from_days(symbol)
                if symbol not in self._ranged and fetched.frame.empty:
                    # On none of the days in the market: before that counts as no data, it is asked for by name.
                    spent += fetched.requests
                    fetched = self._range(symbol, asked)
            except PolygonError as error:
                spent += error.requests
                if not self._narrowed(asked, error):
                    error.requests = spent
                    raise
            else:
                return replace(fetched, requests=fetched.requests + spent, notes=tuple(self._notes))

    def _range(self, symbol: Symbol, sessions: Sequence[date]) -> FetchedBars:
        if self._refused_for_good is not None:
            raise type(self._refused_for_good)(str(self._refused_for_good))
        return self._client.daily_bars(symbol, sessions[0], sessions[-1])

    def _from_days(self, symbol: Symbol) -> FetchedBars:
        """The symbol's bars out of the whole market's, each day of which is asked for once."""
        spent = 0
        with self._lock:
            for request in self._days_to_ask:
                if request.session not in self._days and request.session in self._sessions:
                    market = self._client.grouped_bars(request.calendar, request.session)
                    # What the run doesn't want of the market's twelve thousand bars a day is let go at once.
                    self._days[request.session] = {t: market[t] for t in self._tickers if t in market}
                    spent += market.requests
        ticker = symbol.vendor_ticker
        found = joined([day[ticker] for _, day in sorted(self._days.items()) if ticker in day])
        return replace(found, requests=spent)

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
        if isinstance(error, NotYetAvailableError):
            newest = self._sessions[-1]
            return self._sessions[
                :-1
            ], f"the bars of {newest} can't be had yet on your plan; the next run picks them up"
        if isinstance(error, PlanError):
            starts = [_years_before(self._today, years) for years in HISTORY_YEARS]
            start = next((start for start in starts if start > self._sessions[0]), date.max)
            self._notes = [note for note in self._notes if not note.startswith("your plan starts")]
            return [day for day in self._sessions if day >= start], f"your plan starts at {start}"
        return [], ""


def _years_before(day: date, years: int) -> date:
    last_of_february = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - years, day=28 if last_of_february else day.day)
