"""Visibility of a session's bar at an instant: none yet, forming, provisional, or final.

Stock sessions last from 09:30 to 16:00 in New York, even on days of early closes; crypto days from midnight to midnight
UTC. A bar is provisional until 24 hours after its date has passed in UTC. Recorded bars are final; their forming and
provisional forms are generated.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt

from market_pipeline.core.sessions import Calendar
from market_pipeline.sandbox.bar_arrays import Bars
from market_pipeline.sandbox.plan_limits import PlanLimits, find_local_date

HOURS = {"XNYS": (time(9, 30), timedelta(hours=6, minutes=30)), "24/7": (time(0), timedelta(hours=24))}
"""Start of a session in its calendar's time zone, and its length."""

DECIMALS = 6
PROVISIONAL_VOLUME, PROVISIONAL_TRANSACTIONS = 1.004, 1.003
"""The first counts are slightly too high, since corrections mostly remove trades."""

FEWER_TRADES, MOVED_CLOSE = 3, 7
"""Last digits of the volumes of bars that a correction changes."""

CORRECTED_VOLUME = 0.98


@dataclass(frozen=True)
class SessionView:
    """The observer: a clock and a vendor plan, which decide how much of a session is visible."""

    now: datetime
    plan: PlanLimits
    revisions: bool

    def find_newest_date(self, market: Calendar) -> date:
        """Return the last date with a visible bar."""
        today = find_local_date(self.now, market.timezone)
        begun = not self.plan.end_of_day and self.find_share_formed(market, today) > 0
        return today if begun else today - timedelta(days=1)

    def find_share_formed(self, market: Calendar, day: date) -> float:
        """Return the share of a session that is over, with the plan's delay: 0 to 1."""
        opens, length = HOURS[market.name]
        start = datetime.combine(day, opens, tzinfo=market.timezone)
        # Subtracted in UTC: within one zone Python ignores changes to and from summer time.
        gone = self.now.astimezone(UTC) - self.plan.delay - start.astimezone(UTC)
        return min(max(gone / length, 0.0), 1.0)

    def apply(self, market: Calendar, bars: Bars) -> Bars:
        """Return the bars as visible now; all must be of days up to `find_newest_date`."""
        fresh = [index for index in range(max(len(bars) - 2, 0), len(bars)) if self._is_fresh(market, bars[index])]
        if not fresh:
            return bars
        result = bars.copy()
        for index in fresh:
            result[index : index + 1] = self.apply_to_session(
                market, bars["day"][index].item(), bars[index : index + 1]
            )
        return result

    def apply_to_session(self, market: Calendar, day: date, bars: Bars) -> Bars:
        """Return bars of many tickers of one day, up to `find_newest_date`, as visible now."""
        seen = make_provisional(bars) if self.is_provisional(day) else bars
        share = self.find_share_formed(market, day)
        return make_forming(seen, share) if share < 1 else seen

    def _is_fresh(self, market: Calendar, bar: np.void) -> bool:
        day = bar["day"].item()
        return self.find_share_formed(market, day) < 1 or self.is_provisional(day)

    def is_provisional(self, day: date) -> bool:
        """Return True if the counts of that day's bars are still to be corrected."""
        final = datetime.combine(day + timedelta(days=2), time(0), tzinfo=UTC)
        return self.revisions and self.now < final


def make_provisional(bars: Bars) -> Bars:
    """Return the bars with the provisional volume, vwap and transactions, which are corrected the day after."""
    result = bars.copy()
    result["v"] = np.round(bars["v"] * PROVISIONAL_VOLUME, DECIMALS)
    result["vw"] = np.round((bars["vw"] + bars["c"]) / 2, DECIMALS)
    result["n"] = bars["n"] * PROVISIONAL_TRANSACTIONS
    result["recorded"] = False
    return result


def make_forming(bars: Bars, share: float) -> Bars:
    """Return the bars when only this share of the session is over."""
    result = bars.copy()
    result["c"] = np.round(bars["o"] + (bars["c"] - bars["o"]) * share, DECIMALS)
    result["h"] = np.maximum(bars["o"], result["c"])
    result["l"] = np.minimum(bars["o"], result["c"])
    result["vw"] = np.round((result["h"] + result["l"]) / 2, DECIMALS)
    result["v"] = np.round(bars["v"] * share, DECIMALS)
    result["n"] = np.maximum(1, bars["n"] * share)
    result["recorded"] = False
    return result


def correct_bars(bars: Bars, chosen: npt.NDArray[np.bool_]) -> Bars:
    """Return bars with corrections in some of the chosen ones: a tenth has fewer trades, a tenth another close."""
    last_digit = np.floor(bars["v"]) % 10
    fewer, moved = chosen & (last_digit == FEWER_TRADES), chosen & (last_digit == MOVED_CLOSE)
    result = bars.copy()
    result["v"][fewer] = np.maximum(1.0, np.floor(bars["v"][fewer] * CORRECTED_VOLUME))
    result["n"][fewer] = np.maximum(1, bars["n"][fewer] - 1)
    result["c"][moved] = bars["l"][moved]
    result["recorded"][fewer | moved] = False
    return result
