"""Freshness: stale symbols and markets, and the time of each mart's last build.

A symbol or a market is stale if sessions are missing that the last night should have loaded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dagster import AssetKey, DagsterInstance
from sqlalchemy import Engine

from market_pipeline.core.markets import Market
from market_pipeline.core.sessions import find_newest_ended_session, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.wording import format_count
from market_pipeline.warehouse.coverage import read_coverage
from market_pipeline.warehouse.load_history import read_last_loads, read_newest_load_time
from market_pipeline.warehouse.tracked_markets import MarketSessionState, list_tracked_markets, read_market_sessions
from market_pipeline.warehouse.tracked_symbols import list_active_symbols

MARTS_SCHEMA = "analytics"

NIGHT_TAKES = timedelta(hours=3)
"""Time that a nightly run may take; until then its sessions are not yet due."""


@dataclass(frozen=True)
class StaleSymbol:
    """A stale symbol or market: the number of sessions it is behind, and a description for people."""

    sessions_behind: int
    description: str


def find_stale_symbols(warehouse: Engine, settings: Settings, now: datetime) -> Mapping[str, StaleSymbol]:
    """Return the symbols that are ALERT_STALE_SESSIONS or more behind at `now`, by name, in order.

    Weekends and holidays have no session, and sessions that the vendor's plan does not give yet do not count. A session
    that is over counts once it was requested, or once the night that should have requested it is over. `now` has a time
    zone.
    """
    names = [symbol.name for symbol in list_active_symbols(warehouse)]
    loads = read_last_loads(warehouse, names)
    found = {}
    for covered in read_coverage(warehouse, names):
        load = loads.get(covered["symbol"])
        behind = covered["behind"] - _count_not_due(covered["calendar"], load.end if load else None, settings, now)
        if behind >= settings.alert_stale_sessions:
            found[covered["symbol"]] = StaleSymbol(behind, _describe(covered, behind))
    return found


def find_stale_markets(warehouse: Engine, settings: Settings, now: datetime) -> Mapping[str, StaleSymbol]:
    """Return the tracked markets that are ALERT_STALE_SESSIONS or more behind at `now`, by name, in order.

    One that was never loaded is not behind, as its first sessions are loaded on demand or by its first night.
    """
    found = {}
    for market in list_tracked_markets(warehouse):
        sessions, due = read_market_sessions(warehouse, market), find_last_due_session(market.calendar, settings, now)
        newest = max((each.date for each in sessions if each.is_loaded), default=date.min)
        late = [each for each in sessions if newest < each.date <= due and each.state != "not_yet_available"]
        if len(late) >= settings.alert_stale_sessions:
            found[f"market {market.option}"] = StaleSymbol(len(late), _describe_market(market, newest, late))
    return found


def find_last_due_session(calendar: str, settings: Settings, now: datetime) -> date:
    """Return the newest session that the last night that is over at `now` should have loaded; `date.min` if none."""
    return find_newest_ended_session(calendar, _find_last_night(settings, now)) or date.min


def _describe_market(market: Market, newest: date, late: Sequence[MarketSessionState]) -> str:
    stored = f"its newest is {newest}" if newest > date.min else "none is stored"
    reason = next((f" ({each.reason})" for each in reversed(late) if each.reason), "")
    return f"market {market.option}: {format_count(len(late), 'session')} behind, {stored}{reason}"


def find_freshness_change(warehouse: Engine, settings: Settings, now: datetime) -> datetime:
    """Return the time since which the stale symbols are those at `now`: the last night's end, or a later load."""
    newest = read_newest_load_time(warehouse)
    night_end = _find_last_night(settings, now) + NIGHT_TAKES
    return night_end if newest is None else max(night_end, newest)


def read_last_mart_builds(instance: DagsterInstance, marts: Iterable[str]) -> dict[str, datetime]:
    """Return the time of each mart's newest materialization; marts that Dagster has never built are left out."""
    records = instance.get_asset_records([AssetKey([MARTS_SCHEMA, name]) for name in marts])
    events = [(record.asset_entry.asset_key, record.asset_entry.last_materialization_record) for record in records]
    return {key.path[-1]: datetime.fromtimestamp(event.timestamp, UTC) for key, event in events if event is not None}


def _find_last_night(settings: Settings, now: datetime) -> datetime:
    """Return the start of the last night that is over at `now`."""
    night = (now - NIGHT_TAKES).replace(
        hour=settings.backfill_schedule_hour, minute=settings.backfill_schedule_minute, second=0, microsecond=0
    )
    return night - timedelta(days=1) if night > now - NIGHT_TAKES else night


def _count_not_due(calendar: str, requested_until: date | None, settings: Settings, now: datetime) -> int:
    """Count the sessions that are over, but that no night was due to load and no load has requested."""
    night = _find_last_night(settings, now)
    due, latest = find_newest_ended_session(calendar, night), find_newest_ended_session(calendar, now)
    newest = max((day for day in (due, requested_until) if day is not None), default=None)
    if latest is None or newest is None:
        return 0
    return len(list_sessions(calendar, newest + timedelta(days=1), latest))


def _describe(covered: Mapping[str, Any], behind: int) -> str:
    newest = f"its newest bar is of {covered['last_session']}" if covered["loaded"] else "it has no bar"
    reason = f" ({covered['last_error']})" if covered["last_error"] else ""
    return f"{covered['symbol']}: {format_count(behind, 'session')} behind, {newest}{reason}"
