"""The nightly runs, at BACKFILL_SCHEDULE_HOUR:MINUTE UTC: one a calendar, and one for splits and dividends.

On by default. Dagster doesn't catch up missed nights, so each run reaches back itself. Concept:
https://docs.dagster.io/guides/automate/schedules
"""

from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg

from market_pipeline.orchestration.assets import asset_key
from market_pipeline.orchestration.corporate_actions import KEYS as CORPORATE_ACTIONS
from market_pipeline.orchestration.partitions import partition_range_tags
from market_pipeline.sessions import latest_ended_session, sessions_between
from market_pipeline.settings import Settings
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.database import open_warehouse
from market_pipeline.warehouse.reading import oldest_last_session

LOOK_BACK_SESSIONS = 5
"""Sessions fetched again every night: the vendor goes on correcting a bar after the close."""

REACH_BACK_SESSIONS = 260
"""The most sessions, about a year, that a night catches up on after an outage."""


def nightly_sessions(calendar: str, latest: date, oldest_last: date | None) -> list[date]:
    """The sessions that tonight's run covers, oldest first.

    Args:
        calendar: whose sessions.
        latest: the newest session that is over.
        oldest_last: the newest session held of the symbol that lags most; None where nothing is held yet.
    """
    recent = sessions_between(calendar, date(latest.year - 2, 1, 1), latest)
    behind = [session for session in recent if oldest_last is not None and session > oldest_last]
    return recent[-min(max(LOOK_BACK_SESSIONS, len(behind)), REACH_BACK_SESSIONS) :]


def build_schedules(symbols: Sequence[Symbol], settings: Settings) -> list[dg.ScheduleDefinition]:
    """One schedule a calendar in use, and one of the corporate actions where there are equities to have any."""
    calendars = sorted({symbol.calendar for symbol in symbols})
    bars = [_nightly(name, [s for s in symbols if s.calendar == name], settings) for name in calendars]
    return [*bars, _corporate_actions(settings)] if "XNYS" in calendars else bars


def _every_night(settings: Settings) -> str:
    return f"{settings.backfill_schedule_minute} {settings.backfill_schedule_hour} * * *"


def _corporate_actions(settings: Settings) -> dg.ScheduleDefinition:
    name = "nightly_corporate_actions"
    return dg.ScheduleDefinition(
        name=name,
        job=dg.define_asset_job(f"{name}_job", selection=dg.AssetSelection.assets(*CORPORATE_ACTIONS)),
        cron_schedule=_every_night(settings),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night: the splits and dividends of every active equity.",
    )


def _nightly(calendar: str, symbols: Sequence[Symbol], settings: Settings) -> dg.ScheduleDefinition:
    name = f"nightly_{'crypto' if calendar == '24/7' else 'equities'}"
    keys = [asset_key(symbol) for symbol in symbols]

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(f"{name}_job", selection=dg.AssetSelection.assets(*keys)),
        cron_schedule=_every_night(settings),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Every night: the last {LOOK_BACK_SESSIONS} sessions of every active symbol of the calendar {calendar}, "
            "and all those missed since the last successful night."
        ),
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        latest = latest_ended_session(calendar, context.scheduled_execution_time)
        if latest is None:
            yield dg.SkipReason(f"The calendar {calendar} has had no session in the last two weeks.")
            return
        warehouse = open_warehouse(settings)
        try:
            held = oldest_last_session(warehouse, [symbol.name for symbol in symbols])
        finally:
            warehouse.dispose()
        covered = nightly_sessions(calendar, latest, held)
        yield dg.RunRequest(tags=partition_range_tags(covered[0], covered[-1]))

    return nightly
