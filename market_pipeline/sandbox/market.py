"""The market of one sandbox at its current instant: bars, splits and dividends of its tickers.

Combines the listings, the bars as traded, the visibility by clock and plan, and the adjustment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from market_pipeline.core.sessions import Calendar
from market_pipeline.sandbox.bar_arrays import Bars, SessionBars, make_zero_bars
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.dividends import DividendEvent, find_dividends
from market_pipeline.sandbox.generated import build_history
from market_pipeline.sandbox.listings import Listing
from market_pipeline.sandbox.plan_limits import PLAN_LIMITS, find_local_date
from market_pipeline.sandbox.random_numbers import draw_uniform_series
from market_pipeline.sandbox.splits import SplitEvent, adjust_for_splits, find_splits, select_executed
from market_pipeline.sandbox.ticker_universe import Universe
from market_pipeline.sandbox.visibility import SessionView, correct_bars

ANNOUNCED = timedelta(days=30)
"""Time between the announcement of a split or dividend and its date."""


@dataclass(frozen=True)
class ListedSplit:
    """A split with the product of its and all later splits' price factors."""

    split: SplitEvent
    cumulative_factor: float


class SandboxMarket:
    """The market of one sandbox."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.plan = PLAN_LIMITS[config.plan]
        self.universe = Universe(config)
        self._corrected: set[tuple[str, date]] = set()

    @property
    def view(self) -> SessionView:
        """The observer of now: the clock and the plan."""
        return SessionView(self.config.read_clock(), self.plan, self.config.revisions)

    def find_today(self, calendar: Calendar) -> date:
        """Return the current date in the calendar's time zone."""
        return find_local_date(self.config.read_clock(), calendar.timezone)

    def reset(self) -> None:
        """Forget the corrections."""
        self._corrected.clear()

    def correct_session(self, calendar: Calendar, day: date) -> None:
        """Correct some bars of a session from now on."""
        self._corrected.add((calendar.name, day))

    def is_corrected(self, calendar: Calendar, day: date) -> bool:
        """Return True if bars of a session have been corrected."""
        return (calendar.name, day) in self._corrected

    def read_bars(self, ticker: str, first: date, last: date, *, adjust: bool) -> Bars:
        """Return the ticker's bars of `first` to `last`, both included, as visible now; oldest first.

        They are of each security that had the ticker, in turn.
        """
        listings = self.universe.register_ticker(ticker)
        parts = [self._read_listing_bars(listing, first, last, adjust=adjust) for listing in listings]
        return parts[0] if len(parts) == 1 else np.concatenate([make_zero_bars(), *parts])

    def read_session_bars(self, calendar: Calendar, day: date, *, adjust: bool) -> SessionBars:
        """Return all tickers' bars of one day as visible now, in no order."""
        if day > self.view.find_newest_date(calendar):
            return SessionBars([], make_zero_bars())
        market = self.universe.populations[calendar.name]
        rows, generated = market.make_session_bars(day)
        listings, named = self._read_named_bars(calendar, day)
        generated, named = (
            self.view.apply_to_session(calendar, day, self._correct_bars(calendar, bars)) for bars in (generated, named)
        )
        if adjust:
            generated = market.adjust(rows, generated, self.find_today(calendar))
            parts = zip(listings, np.split(named, len(named)), strict=True) if len(named) else ()
            named = np.concatenate([make_zero_bars(), *(self._adjust(listing, bar) for listing, bar in parts)])
        tickers = np.concatenate(
            [market.tickers[rows], np.array([listing.ticker for listing in listings], dtype=object)]
        )
        bars = np.concatenate([generated, named])
        order = np.argsort(draw_uniform_series(len(bars), "order", day))
        return SessionBars(tickers[order].tolist(), bars[order])

    def count_session_bars(self, calendar: Calendar, day: date) -> int:
        """Return the number of tickers that trade on a session, or a few more, without making bars."""
        named = len(self._list_named(calendar, day))
        return named + len(self.universe.populations[calendar.name].find_traded_rows(day)[0])

    def _read_named_bars(self, calendar: Calendar, day: date) -> tuple[list[Listing], Bars]:
        """Return the listings that trade on a day and are not of the generated market, and their bars as traded."""
        found = [(listing, self._read_traded_bars(listing, day, day)) for listing in self._list_named(calendar, day)]
        traded = [(listing, bars[0]) for listing, bars in found if len(bars)]
        result = make_zero_bars(len(traded))
        for place, (_, bar) in enumerate(traded):
            result[place] = bar
        return [listing for listing, _ in traded], result

    def _correct_bars(self, calendar: Calendar, bars: Bars) -> Bars:
        days = np.array([day for name, day in self._corrected if name == calendar.name], dtype="M8[D]")
        return correct_bars(bars, np.isin(bars["day"], days)) if len(days) else bars

    def _list_named(self, calendar: Calendar, day: date) -> list[Listing]:
        """Return the listings of that day that are not of the generated market."""
        return [
            listing for listing in self.universe.list_named() if listing.calendar == calendar and listing.trades_on(day)
        ]

    def _read_listing_bars(self, listing: Listing, first: date, last: date, *, adjust: bool) -> Bars:
        first = max(first, listing.first)
        last = min(last, listing.last or last, self.view.find_newest_date(listing.calendar))
        bars = self._correct_bars(listing.calendar, self._read_traded_bars(listing, first, last))
        bars = self.view.apply(listing.calendar, bars)
        return self._adjust(listing, bars) if adjust else bars

    def _adjust(self, listing: Listing, bars: Bars) -> Bars:
        return adjust_for_splits(bars, select_executed(self._find_splits(listing), self.find_today(listing.calendar)))

    def _read_traded_bars(self, listing: Listing, first: date, last: date) -> Bars:
        """Return a ticker's bars of a range within its listing, as traded and final."""
        if listing.issue is not None:
            return self.universe.find_population(listing.ticker).make_ticker_bars(listing, first, last)
        everything = self.read_history(listing.whole)
        start, stop = np.searchsorted(everything["day"], np.array([first, last + timedelta(days=1)], dtype="M8[D]"))
        return everything[start:stop]

    def _find_splits(self, listing: Listing) -> Sequence[SplitEvent]:
        """Return all splits of a listing's security, oldest first."""
        if listing.issue is not None:
            return self.universe.find_population(listing.ticker).find_splits(listing.issue)
        return find_splits(listing.whole)

    def read_history(self, listing: Listing) -> Bars:
        """Return all of a security's bars as traded, to the end of next year."""
        return build_history(listing, date(self.config.read_clock().year + 1, 12, 31))

    def list_splits(self, listing: Listing) -> list[ListedSplit]:
        """Return the ticker's splits, announced ones included, oldest first."""
        if listing.issue is not None and listing.issue.split is None:
            return []
        today = self.find_today(listing.calendar)
        shown: list[ListedSplit] = []
        factor = 1.0
        for split in reversed(select_executed(self._find_splits(listing), today + ANNOUNCED)):
            factor *= split.price_factor
            if listing.trades_on(split.execution_date):
                shown.insert(0, ListedSplit(replace(split, ticker=listing.ticker), factor))
        return shown

    def list_dividends(self, listing: Listing) -> Sequence[DividendEvent]:
        """Return the ticker's dividends, announced ones included, oldest first; the generated market has none."""
        if listing.issue is not None:
            return []
        today = self.find_today(listing.calendar)
        whole = listing.whole
        paid = find_dividends(whole, self.read_history(whole), today, today + ANNOUNCED)
        return [replace(event, ticker=listing.ticker) for event in paid if listing.trades_on(event.ex_date)]
