"""The vendor's plans: requests per minute, years of history, and the delay of new bars.

Source: the vendor's price list of 2026. Stocks and currencies are sold apart; a paid plan is taken to be paid for both.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

FAIR_USE = 5_000
"""Requests per minute on plans that the vendor calls unlimited; it recommends fewer than 100 a second."""


class PlanName(StrEnum):
    """The vendor's plans, cheapest first."""

    BASIC = "basic"
    STARTER = "starter"
    DEVELOPER = "developer"
    ADVANCED = "advanced"


@dataclass(frozen=True)
class VendorPlan:
    """Limits of a plan; None for no limit."""

    requests_per_minute: int
    stock_years: int | None
    crypto_years: int | None
    end_of_day: bool = False

    def history_start(self, calendar: str, today: date) -> date:
        """Return the first date of the plan's history."""
        years = self.crypto_years if calendar == "24/7" else self.stock_years
        return date.min if years is None else subtract_years(today, years)

    def offers(self, session: date, timezone: ZoneInfo, now: datetime) -> bool:
        """Return True if a session's bar is available at `now`: on an end-of-day plan, once its date has passed."""
        return not self.end_of_day or now.astimezone(timezone).date() > session


PLANS = {
    PlanName.BASIC: VendorPlan(5, stock_years=2, crypto_years=2, end_of_day=True),
    PlanName.STARTER: VendorPlan(FAIR_USE, stock_years=5, crypto_years=None),
    PlanName.DEVELOPER: VendorPlan(FAIR_USE, stock_years=10, crypto_years=None),
    PlanName.ADVANCED: VendorPlan(FAIR_USE, stock_years=None, crypto_years=None),
}


def subtract_years(day: date, years: int) -> date:
    """Return the same day that many years earlier; 28 February for the 29th if that year has none."""
    last_of_february = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - years, day=28 if last_of_february else day.day)
