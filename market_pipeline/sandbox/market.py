"""The market of one sandbox at its current instant: bars, splits and dividends of its tickers.

Combines the listings, the bars as traded, the visibility by clock and plan, and the adjustment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from market_pipeline.core.sessions import Calendar
from market_pipeline.sandbox.bar_arrays import Bars
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

    def bars(self, listing: Listing, first: date, last: date, *, adjust: bool) -> Bars:
        """Return the ticker's bars of `first` to `last`, both included, as visible now; oldest first."""
        view = SessionView(self.config.clock(), self.plan, self.config.revisions)
        last = min(last, view.newest_date(listing.calendar))
        everything = self.history(listing)
        start, stop = np.searchsorted(everything["day"], np.array([first, last + timedelta(days=1)], dtype="M8[D]"))
        bars = view.apply(listing.calendar, everything[start:stop])
        return (
            adjust_for_splits(bars, executed_splits(splits_of(listing), self.today(listing.calendar)))
            if adjust
            else bars
        )

    def history(self, listing: Listing) -> Bars:
        """Return all of the ticker's bars as traded, to the end of next year."""
        return history(listing, date(self.config.clock().year + 1, 12, 31))

    def splits(self, listing: Listing) -> list[ListedSplit]:
        """Return the ticker's splits, announced ones included, oldest first."""
        today = self.today(listing.calendar)
        shown: list[ListedSplit] = []
        factor = 1.0
        for split in reversed(executed_splits(splits_of(listing), today + ANNOUNCED)):
            factor *= split.price_factor
            shown.insert(0, ListedSplit(split, factor))
        return shown

    def dividends(self, listing: Listing) -> Sequence[DividendEvent]:
        """Return the ticker's dividends, announced ones included, oldest first."""
        today = self.today(listing.calendar)
        return dividends_of(listing, self.history(listing), today, today + ANNOUNCED)
