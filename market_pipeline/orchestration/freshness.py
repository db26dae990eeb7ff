"""Freshness: stale symbols, and the time of each mart's last build.

A symbol is stale if sessions are missing that the last night should have loaded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dagster import AssetKey, DagsterInstance
from sqlalchemy import Engine

from market_pipeline.core.sessions import latest_ended_session, sessions_between
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.coverage import coverage
from market_pipeline.warehouse.load_history import last_loads, newest_load_at
from market_pipeline.warehouse.tracked_symbols import active_symbols

MARTS_SCHEMA = "analytics"

NIGHT_TAKES = timedelta(hours=3)
"""Time that a nightly run may take; until then its sessions are not yet due."""


@dataclass(frozen=True)
class StaleSymbol:
    """A stale symbol: the number of sessions it is behind, and a description for people."""

    sessions_behind: int
    description: str


def find_stale_symbols(warehouse: Engine, settings: Settings, now: datetime) -> Mapping[str, StaleSymbol]:
    """Return the symbols that are ALERT_STALE_SESSIONS or more behind at `now`, by name, in order.

    Weekends and holidays have no session, and sessions that the vendor's plan does not give yet do not count. A session
    that is over counts once it was requested, or once the night that should have requested it is over. `now` has a time
    zone.
    """
    names = [symbol.name for symbol in active_symbols(warehouse)]
    loads = last_loads(warehouse, names)
    found = {}
    for covered in coverage(warehouse, names):
        load = loads.get(covered["symbol"])
        behind = covered["behind"] - _count_not_due(covered["calendar"], load.end if load else None, settings, now)
        if behind >= settings.alert_stale_sessions:
            found[covered["symbol"]] = StaleSymbol(behind, _describe(covered, behind))
    return found


def find_freshness_change(warehouse: Engine, settings: Settings, now: datetime) -> datetime:
    """Return the time since which the stale symbols are those at `now`: the last night's end, or a later load."""
    newest = newest_load_at(warehouse)
    night_end = _last_night(settings, now) + NIGHT_TAKES
    return night_end if newest is None else max(night_end, newest)


def last_mart_builds(instance: DagsterInstance, marts: Iterable[str]) -> dict[str, datetime]:
    """Return the time of each mart's newest materialization; marts that Dagster has never built are left out."""
    records = instance.get_asset_records([AssetKey([MARTS_SCHEMA, name]) for name in marts])
    events = [(record.asset_entry.asset_key, record.asset_entry.last_materialization_record) for record in records]
    return {key.path[-1]: datetime.fromtimestamp(event.timestamp, UTC) for key, event in events if event is not None}


def _last_night(settings: Settings, now: datetime) -> datetime:
    """Return the start of the last night that is over at `now`."""
    night = (now - NIGHT_TAKES).replace(
        hour=settings.backfill_schedule_hour, minute=settings.backfill_schedule_minute, second=0, microsecond=0
    )
    return night - timedelta(days=1) if night > now - NIGHT_TAKES else night


def _count_not_due(calendar: str, requested_until: date | None, settings: Settings, now: datetime) -> int:
    """Count the sessions that are over, but that no night was due to load and no load has requested."""
    night = _last_night(settings, now)
    due, latest = latest_ended_session(calendar, night), latest_ended_session(calendar, now)
    newest = max((day for day in (due, requested_until) if day is not None), default=None)
    if latest is None or newest is None:
        return 0
    return len(sessions_between(calendar, newest + timedelta(days=1), latest))


def _describe(covered: Mapping[str, Any], behind: int) -> str:
    newest = f"its newest bar is of {covered['last_session']}" if covered["loaded"] else "it has no bar"
    reason = f" ({covered['last_error']})" if covered["last_error"] else ""
    return f"{covered['symbol']}: {behind:,} {'session' if behind == 1 else 'sessions'} behind, {newest}{reason}"
