"""What of a session can be seen at an instant: nothing yet, a bar that still forms, a provisional one, the final one.

Stock sessions are taken to run from 09:30 to 16:00 New York, early closes included; crypto days from midnight to
midnight UTC. A bar is provisional until 24 hours after its date has passed in UTC. What was recorded are final bars:
any other look of them is made up.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from market_pipeline.core.sessions import Calendar
from market_pipeline.sandbox.bar_arrays import Bars
from market_pipeline.sandbox.plan_limits import Plan, local_date

HOURS = {"XNYS": (time(9, 30), timedelta(hours=6, minutes=30)), "24/7": (time(0), timedelta(hours=24))}
"""When a session begins, in its calendar's time zone, and how long it lasts."""

DECIMALS = 6
PROVISIONAL_VOLUME, PROVISIONAL_TRANSACTIONS = 1.004, 1.003
"""The first counts are a little too high: corrections mostly take trades away."""


@dataclass(frozen=True)
class SessionView:
    """Who looks, and when."""

    now: datetime
    plan: Plan
    revisions: bool

    def newest(self, market: Calendar) -> date:
        """The last date of which anything can be seen."""
        today = local_date(self.now, market.timezone)
        begun = not self.plan.end_of_day and self.formed(market, today) > 0
        return today if begun else today - timedelta(days=1)

    def formed(self, market: Calendar, day: date) -> float:
        """How much of a session is over, as the plan shows it: 0 to 1."""
        opens, length = HOURS[market.name]
        start = datetime.combine(day, opens, tzinfo=market.timezone)
        # Subtracted in UTC: within one zone Python ignores changes of the clock.
        gone = self.now.astimezone(UTC) - self.plan.delay - start.astimezone(UTC)
        return min(max(gone / length, 0.0), 1.0)

    def look(self, market: Calendar, bars: Bars) -> Bars:
        """The bars, all of days up to `newest`, as they look now."""
        fresh = [index for index in range(max(len(bars) - 2, 0), len(bars)) if self._is_fresh(market, bars[index])]
        if not fresh:
            return bars
        result = bars.copy()
        for index in fresh:
            result[index : index + 1] = self._as_seen(market, bars[index : index + 1])
        return result

    def _is_fresh(self, market: Calendar, bar: np.void) -> bool:
        day = bar["day"].item()
        return self.formed(market, day) < 1 or self._is_provisional(day)

    def _is_provisional(self, day: date) -> bool:
        final = datetime.combine(day + timedelta(days=2), time(0), tzinfo=UTC)
        return self.revisions and self.now < final

    def _as_seen(self, market: Calendar, bar: Bars) -> Bars:
        day = bar["day"][0].item()
        seen = provisional(bar) if self._is_provisional(day) else bar
        share = self.formed(market, day)
        return forming(seen, share) if share < 1 else seen


def provisional(bars: Bars) -> Bars:
    """The bars with the volume, vwap and transactions of the evening: what is corrected the day after."""
    result = bars.copy()
    result["v"] = np.round(bars["v"] * PROVISIONAL_VOLUME, DECIMALS)
    result["vw"] = np.round((bars["vw"] + bars["c"]) / 2, DECIMALS)
    result["n"] = bars["n"] * PROVISIONAL_TRANSACTIONS
    result["recorded"] = False
    return result


def forming(bars: Bars, share: float) -> Bars:
    """The bars when only this share of the session is over."""
    result = bars.copy()
    result["c"] = np.round(bars["o"] + (bars["c"] - bars["o"]) * share, DECIMALS)
    result["h"] = np.maximum(bars["o"], result["c"])
    result["l"] = np.minimum(bars["o"], result["c"])
    result["vw"] = np.round((result["h"] + result["l"]) / 2, DECIMALS)
    result["v"] = np.round(bars["v"] * share, DECIMALS)
    result["n"] = np.maximum(1, bars["n"] * share)
    result["recorded"] = False
    return result
