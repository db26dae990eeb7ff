"""Nightly schedules, at BACKFILL_SCHEDULE_HOUR:MINUTE UTC: one per calendar, and one for splits and dividends.

They are on by default. Dagster does not catch up on missed nights, so each night also loads the sessions that they
missed; core/run_planning.py determines how far back.
Concept: https://docs.dagster.io/guides/automate/schedules
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import dagster as dg

from market_pipeline.core.run_planning import RangeRun, plan_missing_runs, plan_nightly_runs
from market_pipeline.core.sessions import calendar, last_sessions, latest_ended_session
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import counted
from market_pipeline.orchestration.assets import asset_key
from market_pipeline.orchestration.corporate_action_assets import CORPORATE_ACTION_KEYS
from market_pipeline.orchestration.partitions import partition_range_tags
from market_pipeline.warehouse.coverage import oldest_gaps, reassigned_spans
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_symbols import active_symbols

CORPORATE_ACTIONS_JOB = "nightly_corporate_actions_job"


def build_schedules(symbols: Sequence[Symbol], settings: Settings) -> list[dg.ScheduleDefinition]:
    """Build one schedule per calendar in use, and one of the corporate actions if equities are tracked."""
    calendars = sorted({symbol.calendar for symbol in symbols})
    bars = [_build_nightly(name, [s for s in symbols if s.calendar == name], settings) for name in calendars]
    return [*bars, _build_corporate_actions(settings)] if "XNYS" in calendars else bars


def nightly_cron(settings: Settings) -> str:
    """Return the cron expression (UTC) of the nightly runs."""
    return f"{settings.backfill_schedule_minute} {settings.backfill_schedule_hour} * * *"


def _build_corporate_actions(settings: Settings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="nightly_corporate_actions",
        job=dg.define_asset_job(CORPORATE_ACTIONS_JOB, selection=dg.AssetSelection.assets(*CORPORATE_ACTION_KEYS)),
        cron_schedule=nightly_cron(settings),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night: the splits and dividends of every active equity.",
    )


def _build_nightly(calendar_name: str, symbols: Sequence[Symbol], settings: Settings) -> dg.ScheduleDefinition:
    name = f"nightly_{calendar(calendar_name).market}"
    keys = [asset_key(symbol) for symbol in symbols]

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(f"{name}_job", selection=dg.AssetSelection.assets(*keys)),
        cron_schedule=nightly_cron(settings),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Every night: the last {counted(settings.backfill_look_back_sessions, 'session')} of every active symbol "
            f"of the calendar {calendar_name}, and the sessions that earlier nights missed or failed to load."
        ),
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        latest = latest_ended_session(calendar_name, context.scheduled_execution_time)
        if latest is None:
            yield dg.SkipReason(f"The calendar {calendar_name} has had no session in the last two weeks.")
            return
        for run in plan_night(settings, symbols, latest):
            yield dg.RunRequest(
                # Dagster needs a key for several requests; with the tick's time in it, no later night is skipped.
                run_key=f"{context.scheduled_execution_time.isoformat()} {run.sessions[0]} to {run.sessions[-1]}",
                asset_selection=[asset_key(symbol) for symbol in run.symbols],
                tags=partition_range_tags(run.sessions[0], run.sessions[-1]),
            )

    return nightly


def plan_night(settings: Settings, symbols: Sequence[Symbol], latest: date) -> list[RangeRun]:
    """Return the runs of a night for symbols of one calendar, whose newest session that is over is `latest`.

    Symbols removed since the definitions were loaded are left out. Sessions whose ticker turned out to be another one
    are fetched however old they are.
    """
    reach_back = settings.backfill_reach_back_sessions
    oldest = last_sessions(symbols[0].calendar, latest, reach_back)[0]
    day_before = oldest - timedelta(days=1)
    with warehouse_of(settings) as warehouse:
        tracked = set(active_symbols(warehouse))
        symbols = [symbol for symbol in symbols if symbol in tracked]
        if not symbols:
            return []
        gaps = oldest_gaps(warehouse, [symbol.name for symbol in symbols], oldest, latest)
        reassigned = plan_missing_runs(reassigned_spans(warehouse, symbols, day_before))
    nightly = plan_nightly_runs(
        symbols, gaps, latest, look_back=settings.backfill_look_back_sessions, reach_back=reach_back
    )
    return [*nightly, *reassigned]
