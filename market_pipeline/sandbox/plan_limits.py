"""Limits of each vendor plan: requests per minute, delay, years of history.

Source: the vendor's price list for stocks. The same limits are used for crypto, whose days end in UTC.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from market_pipeline.core.plans import PlanName, subtract_years
from market_pipeline.vendor_format.error_bodies import BEFORE_END_OF_DAY, OUTSIDE_TIMEFRAME, RejectedRequestError


@dataclass(frozen=True)
class PlanLimits:
    """A plan's limits."""

    calls_per_minute: int | None = None
    years: int | None = None
    delay: timedelta = timedelta(0)
    end_of_day: bool = False
    """A session is served from the next midnight on, in its own time zone."""

    def find_oldest(self, today: date) -> date:
        """Return the first date of the plan's history."""
        if self.years is None:
            return date.min
        return subtract_years(today, self.years)

    def find_status(self, last: date, today: date) -> Literal["OK", "DELAYED"]:
        """Return the status of a response that reaches `last`."""
        return "DELAYED" if self.delay and last >= today else "OK"

    def check_day(self, day: date, today: date) -> None:
        """Check that the plan serves the day.

        Raises:
            RejectedRequestError: the day is too old, in the future, or today on an end-of-day plan.
        """
        if day == today and self.end_of_day:
            raise RejectedRequestError(BEFORE_END_OF_DAY)
        if not self.find_oldest(today) <= day <= today:
            raise RejectedRequestError(OUTSIDE_TIMEFRAME)

    def find_first_day(self, first: date, last: date, today: date, *, clip: bool) -> date:
        """Return the first date of a range's response: `first`, or the start of the plan's history.

        Raises:
            RejectedRequestError: the range is too old (without `clip`: its first day), or today on an end-of-day plan.
        """
        if self.end_of_day and first >= today:
            raise RejectedRequestError(BEFORE_END_OF_DAY)
        oldest = self.find_oldest(today)
        if first < oldest and (last < oldest or not clip):
            raise RejectedRequestError(OUTSIDE_TIMEFRAME)
        return max(first, oldest)


DELAY = timedelta(minutes=15)

PLAN_LIMITS = {
    PlanName.BASIC: PlanLimits(calls_per_minute=5, years=2, end_of_day=True),
    PlanName.STARTER: PlanLimits(years=5, delay=DELAY),
    PlanName.DEVELOPER: PlanLimits(years=10, delay=DELAY),
    PlanName.ADVANCED: PlanLimits(),
}


def find_local_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the date of an instant in a time zone."""
    return instant.astimezone(zone).date()
