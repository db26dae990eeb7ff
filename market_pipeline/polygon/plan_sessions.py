"""Sessions that a vendor plan serves: by its known limits, or by those that a rejected request shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from market_pipeline.core.plans import VendorPlan, subtract_years
from market_pipeline.core.sessions import find_calendar

LIMITED_HISTORIES = (10, 5, 2)
"""Years of history of the vendor's limited plans, longest first; tried in this order if the plan isn't known."""


@dataclass(frozen=True)
class PlanSessions:
    """Sessions by a plan, oldest first: before the start of its history, available, and not available yet."""

    history_start: date
    too_old: Sequence[date]
    available: Sequence[date]
    not_yet: Sequence[date]


def apply_plan(plan: VendorPlan | None, calendar_name: str, sessions: Sequence[date], now: datetime) -> PlanSessions:
    """Split sessions, oldest first, by a plan; all are available if it is None or makes none available.

    If it makes none available, they are requested anyway, so that the error is the vendor's own.
    """
    if plan is None:
        return PlanSessions(date.min, (), sessions, ())
    start = plan.history_start(calendar_name, now.date())
    timezone = find_calendar(calendar_name).timezone
    available = [day for day in sessions if day >= start and plan.offers(day, timezone, now)]
    if not available:
        return PlanSessions(start, (), sessions, ())
    too_old = [day for day in sessions if day < available[0]]
    return PlanSessions(start, too_old, available, [day for day in sessions if day > available[-1]])


def find_next_history_start(session: date, today: date) -> date:
    """Return the first date of the longest history of a plan that begins after a rejected session; else `date.max`."""
    starts = [subtract_years(today, years) for years in LIMITED_HISTORIES]
    return next((start for start in starts if start > session), date.max)


def note_not_yet(session: date) -> str:
    """Return the note on a session that the plan doesn't serve yet."""
    return f"the bars of {session} are not available yet on your plan; the next run fetches them"


def note_history_start(start: date) -> str:
    """Return the note on sessions before the plan's history."""
    return f"your plan starts at {start}"
