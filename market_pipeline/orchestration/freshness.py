"""Which symbols are stale, so that someone should know: behind by more than a night that is still to come explains."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from market_pipeline.core.sessions import latest_ended_session, sessions_between
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.coverage import coverage
from market_pipeline.warehouse.load_history import last_loads, newest_load_at
from market_pipeline.warehouse.tracked_symbols import active_symbols

NIGHT_TAKES = timedelta(hours=3)
"""How long a nightly run is given to load a session before that counts as missing without having been asked for."""


@dataclass(frozen=True)
class Stale:
    """A stale symbol: how many sessions it is behind, and that in words."""

    behind: int
    told: str


def stale_symbols(warehouse: Engine, settings: Settings, now: datetime) -> Mapping[str, Stale]:
    """The symbols that are ALERT_STALE_SESSIONS or more behind at `now` (with a time zone), by name, in order.

    Weekends and holidays have no session, and what the vendor's plan doesn't give yet is nobody's fault. A session that
    is over counts once it was asked for, or once the night that should have asked is over.
    """
    names = [symbol.name for symbol in active_symbols(warehouse)]
    loads = last_loads(warehouse, names)
    found = {}
    for covered in coverage(warehouse, names):
        load = loads.get(covered["symbol"])
        behind = covered["behind"] - _not_due(covered["calendar"], load.end if load else None, settings, now)
        if behind >= settings.alert_stale_sessions:
            found[covered["symbol"]] = Stale(behind, _told(covered, behind))
    return found


def freshness_changed_at(warehouse: Engine, settings: Settings, now: datetime) -> datetime:
    """The instant since which the stale symbols are those at `now`: the end of the last night, or of a later load."""
    newest = newest_load_at(warehouse)
    night_end = _last_night(settings, now) + NIGHT_TAKES
    return night_end if newest is None else max(night_end, newest)


def _last_night(settings: Settings, now: datetime) -> datetime:
    """The start of the last night that is over at `now`."""
    night = (now - NIGHT_TAKES).replace(
        hour=settings.backfill_schedule_hour, minute=settings.backfill_schedule_minute, second=0, microsecond=0
    )
    return night - timedelta(days=1) if night > now - NIGHT_TAKES else night


def _not_due(calendar: str, asked_until: date | None, settings: Settings, now: datetime) -> int:
    """How many sessions are over that no night was due to ask for yet, nor anyone did."""
    night = _last_night(settings, now)
    due, latest = latest_ended_session(calendar, night), latest_ended_session(calendar, now)
    known = max((day for day in (due, asked_until) if day is not None), default=None)
    if latest is None or known is None:
        return 0
    return len(sessions_between(calendar, known + timedelta(days=1), latest))


def _told(covered: Mapping[str, Any], behind: int) -> str:
    newest = f"its newest bar is of {covered['last_session']}" if covered["loaded"] else "it has no bar"
    reason = f" ({covered['last_error']})" if covered["last_error"] else ""
    return f"{covered['symbol']}: {behind:,} {'session' if behind == 1 else 'sessions'} behind, {newest}{reason}"
