"""The market as one sandbox shows it at this instant: bars, splits and dividends of its tickers.

Brings the others together: who is listed, the bars as traded, what the clock and the plan let through, adjustment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from market_pipeline.core.sessions import Calendar
from market_pipeline.sandbox.bar_arrays import Bars
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.dividends import Dividend, dividends_of
from market_pipeline.sandbox.generated import history
from market_pipeline.sandbox.listings import Listing, Universe
from market_pipeline.sandbox.plan_limits import PLANS, local_date
from market_pipeline.sandbox.splits import Split, adjusted, executed, splits_of
from market_pipeline.sandbox.visibility import SessionView

ANNOUNCED = timedelta(days=30)
"""How long before its date a split or dividend is known."""


@dataclass(frozen=True)
class VisibleBars:
    """A split with the product of its and all later splits' price factors."""

    split: Split
    cumulative_factor: float


class Market:
    """The market of one sandbox."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.plan = PLANS[config.plan]
        self.universe = Universe(config)

    def today(self, calendar: Calendar) -> date:
        """The date it is where the calendar's sessions are."""
        return local_date(self.config.clock(), calendar.timezone)

    def bars(self, listing: Listing, first: date, last: date, *, adjust: bool) -> Bars:
        """The ticker's bars of `first` to `last`, both included, as they look now; oldest first."""
        eye = SessionView(self.config.clock(), self.plan, self.config.revisions)
        last = min(last, eye.newest(listing.calendar))
        everything = self.history(listing)
        start, stop = np.searchsorted(everything["day"], np.array([first, last + timedelta(days=1)], dtype="M8[D]"))
        bars = eye.look(listing.calendar, everything[start:stop])
        return adjusted(bars, executed(splits_of(listing), self.today(listing.calendar))) if adjust else bars

    def history(self, listing: Listing) -> Bars:
        """All of the ticker's bars as traded, into the future."""
        return history(listing, date(self.config.clock().year + 1, 12, 31))

    def splits(self, listing: Listing) -> list[VisibleBars]:
        """The ticker's splits, announced ones included, oldest first."""
        today = self.today(listing.calendar)
        shown: list[VisibleBars] = []
        factor = 1.0
        for split in reversed(executed(splits_of(listing), today + ANNOUNCED)):
            factor *= split.price_factor
            shown.insert(0, VisibleBars(split, factor))
        return shown

    def dividends(self, listing: Listing) -> Sequence[Dividend]:
        """The ticker's dividends, announced ones included, oldest first."""
        today = self.today(listing.calendar)
        return dividends_of(listing, self.history(listing), today, today + ANNOUNCED)
