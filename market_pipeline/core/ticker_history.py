"""Ticker histories: the tickers that a security has had at the vendor, each from its first to its last day.

The vendor keeps bars under the ticker of their day and never joins them. A series of one security therefore takes each
ticker's bars for that ticker's own days. `ticker_corrections` reads manual histories; the warehouse stores all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property

from market_pipeline.core.symbols import Symbol, find_ticker_symbol

DATE_TOLERANCE = timedelta(days=7)
"""Longest distance between the day of a ticker change in the vendor's events and in its bars. Seen: two days."""


class TickerSource(StrEnum):
    """The source of a ticker period."""

    MANUAL = "manual"
    EVENTS = "vendor events"
    REFERENCE = "vendor reference"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class TickerPeriod:
    """The days on which a security had a ticker, `last` included.

    `ticker` is the vendor's (META, X:BTCUSD). `first` None stands for the beginning of the vendor's bars,
    `last` None for today. `certain` is false where no source states the period.
    """

    ticker: str
    first: date | None = None
    last: date | None = None
    source: TickerSource = TickerSource.ASSUMED
    certain: bool = False
    note: str | None = None

    def covers(self, day: date) -> bool:
        """Return True if the security had the ticker on that day."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


@dataclass(frozen=True)
class TickerSpan:
    """The sessions for which a symbol's bars are requested under one ticker, as a symbol of its own."""

    symbol: Symbol
    ticker: Symbol
    sessions: Sequence[date] = field(hash=False)

    @property
    def calendar(self) -> str:
        """The trading calendar."""
        return self.symbol.calendar


@dataclass(frozen=True)
class TickerHistory:
    """The ticker periods of one security, oldest first; they don't overlap. There is at least one."""

    periods: tuple[TickerPeriod, ...]

    @classmethod
    def assume(cls, symbol: Symbol) -> "TickerHistory":
        """Return the history of a symbol of which nothing is known: it has always had its own ticker."""
        return cls((TickerPeriod(symbol.vendor_ticker),))

    @property
    def current(self) -> TickerPeriod:
        """The newest period."""
        return self.periods[-1]

    @cached_property
    def tickers(self) -> frozenset[str]:
        """All tickers."""
        return frozenset(period.ticker for period in self.periods)

    def ticker_on(self, day: date) -> str | None:
        """Return the ticker of a day; None if the security had none."""
        return next((period.ticker for period in self.periods if period.covers(day)), None)

    def has_event(self, ticker: str, day: date) -> bool:
        """Return True if a split or dividend that the vendor lists under a ticker on that day is the security's.

        Each ticker counts on its own days alone, without DATE_TOLERANCE: on others its events may be another company's.
        """
        return self.ticker_on(day) == ticker

    def is_first_day_after(self, ticker: str, day: date) -> bool:
        """Return True if that day is the security's first under another ticker, right after its last under this one."""
        return self.ticker_on(day - timedelta(days=1)) == ticker and self.ticker_on(day) not in {None, ticker}

    def spans(self, symbol: Symbol, sessions: Sequence[date]) -> list[TickerSpan]:
        """Return the requests' spans for these sessions of a symbol, oldest first.

        Around a change that only the vendor's events date, the sessions of DATE_TOLERANCE are in both spans.

        Args:
            symbol: the symbol that has this history.
            sessions: oldest first.
        """
        spans = []
        for place, period in enumerate(self.periods):
            first, last = self._reach(place)
            own = sessions  # the same object, which most symbols of a run share: see `plan_requests`
            if sessions and not first <= sessions[0] <= sessions[-1] <= last:
                own = [day for day in sessions if first <= day <= last]
            if own:
                is_own = period.ticker == symbol.vendor_ticker
                ticker = symbol if is_own else find_ticker_symbol(period.ticker, symbol.asset_class)
                spans.append(TickerSpan(symbol, ticker, own))
        return spans

    def _reach(self, place: int) -> tuple[date, date]:
        """Return the first and the last day for which a period's ticker is requested."""
        period = self.periods[place]
        first, last = period.first or date.min, period.last or date.max
        if place > 0 and self._is_vague(place):
            first -= DATE_TOLERANCE
        if place + 1 < len(self.periods) and self._is_vague(place + 1):
            last += DATE_TOLERANCE
        return first, last

    def _is_vague(self, place: int) -> bool:
        """Return True if only the vendor's events date the change to a period from the one before, without a gap."""
        before, period = self.periods[place - 1], self.periods[place]
        joined = period.first is not None and before.last == period.first - timedelta(days=1)
        return joined and period.source is TickerSource.EVENTS

    def describe_change(self, name: str) -> str | None:
        """Describe a ticker in one clause if it isn't the current one: `XYZ since 2025-01-21`."""
        if self.current.ticker == name or self.current.first is None:
            return None
        return f"{self.current.ticker} since {self.current.first}"


def list_spans(
    histories: Mapping[Symbol, TickerHistory], sessions: Sequence[date]
) -> Mapping[TickerSpan, Sequence[date]]:
    """Return the spans of all symbols for these sessions, as `plan_requests` takes them."""
    return {span: span.sessions for symbol, history in histories.items() for span in history.spans(symbol, sessions)}
