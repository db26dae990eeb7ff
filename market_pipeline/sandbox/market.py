"""The market of one sandbox at its current instant: bars, splits and dividends of its tickers.

Combines the listings, the bars as traded, the visibility by clock and plan, and the adjustment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from market_pipeline.core.sessions import Calendar
from market_pipeline.sandbox.bar_arrays import Bars, zero_bars
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.dividends import DividendEvent, dividends_of
from market_pipeline.sandbox.generated import history
from market_pipeline.sandbox.listings import Listing, Universe
from market_pipeline.sandbox.plan_limits import PLAN_LIMITS, local_date
from market_pipeline.sandbox.splits import SplitEvent, adjust_for_splits, executed_splits, splits_of
from market_pipeline.sandbox.visibility import SessionView

ANNOUNCED = timedelta(days=30)
"""Time between the announcement of a split or dividend and its date."""


@dataclass(frozen=True)
class ListedSplit:
    """A split with the product of its and all later splits' price factors."""

    split: SplitEvent
    cumulative_factor: float


class Market:
    """The market of one sandbox."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.plan = PLAN_LIMITS[config.plan]
        self.universe = Universe(config)

    def today(self, calendar: Calendar) -> date:
        """Return the current date in the calendar's time zone."""
        return local_date(self.config.clock(), calendar.timezone)

    def bars(self, ticker: str, first: date, last: date, *, adjust: bool) -> Bars:
        """Return the ticker's bars of `first` to `last`, both included, as visible now; oldest first.

        They are of each security that had the ticker, in turn.
        """
        listings = self.universe.find(ticker)
        parts = [self._bars_of(listing, first, last, adjust=adjust) for listing in listings]
        return parts[0] if len(parts) == 1 else np.concatenate([zero_bars(), *parts])

    def _bars_of(self, listing: Listing, first: date, last: date, *, adjust: bool) -> Bars:
        view = SessionView(self.config.clock(), self.plan, self.config.revisions)
        first, last = max(first, listing.first), min(last, listing.last or last, view.newest_date(listing.calendar))
        everything = self.history(listing.whole)
        start, stop = np.searchsorted(everything["day"], np.array([first, last + timedelta(days=1)], dtype="M8[D]"))
        bars = view.apply(listing.calendar, everything[start:stop])
        if not adjust:
            return bars
        return adjust_for_splits(bars, executed_splits(splits_of(listing.whole), self.today(listing.calendar)))

    def history(self, listing: Listing) -> Bars:
        """Return all of a security's bars as traded, to the end of next year."""
        return history(listing, date(self.config.clock().year + 1, 12, 31))

    def splits(self, listing: Listing) -> list[ListedSplit]:
        """Return the ticker's splits, announced ones included, oldest first."""
        today = self.today(listing.calendar)
        shown: list[ListedSplit] = []
        factor = 1.0
        for split in reversed(executed_splits(splits_of(listing.whole), today + ANNOUNCED)):
            factor *= split.price_factor
            if listing.trades_on(split.execution_date):
                shown.insert(0, ListedSplit(replace(split, ticker=listing.ticker), factor))
        return shown

    def dividends(self, listing: Listing) -> Sequence[DividendEvent]:
        """Return the ticker's dividends, announced ones included, oldest first."""
        today = self.today(listing.calendar)
        whole = listing.whole
        paid = dividends_of(whole, self.history(whole), today, today + ANNOUNCED)
        return [replace(event, ticker=listing.ticker) for event in paid if listing.trades_on(event.ex_date)]
