"""Nightly schedules, at BACKFILL_SCHEDULE_HOUR:MINUTE UTC: one per calendar, market, and for splits and dividends.

A tracked market feeds the tracked symbols of its calendar, and its night also loads what these lack after it: so their
own schedule requests nothing.

They are on by default. Dagster does not catch up on missed nights, so each night also loads the sessions that they
missed; core/run_planning.py determines how far back.
Concept: https://docs.dagster.io/guides/automate/schedules
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import dagster as dg
from sqlalchemy import Engine

from market_pipeline.core.markets import Market
from market_pipeline.core.run_planning import (
    SCOPE_TAG,
    MarketScope,
    RangeRun,
    plan_market_night,
    plan_missing_runs,
    plan_nightly_runs,
)
from market_pipeline.core.sessions import find_calendar, find_newest_ended_session, list_last_sessions, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import format_count
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.corporate_action_assets import CORPORATE_ACTION_KEYS
from market_pipeline.orchestration.market_assets import build_market_key
from market_pipeline.orchestration.partitions import build_range_tags
from market_pipeline.warehouse.coverage import find_oldest_gaps, find_reassigned_spans
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_markets import list_tracked_markets, read_market_sessions
from market_pipeline.warehouse.tracked_symbols import list_active_symbols

CORPORATE_ACTIONS_JOB = "nightly_corporate_actions_job"


def build_schedules(
    symbols: Sequence[Symbol], settings: Settings, markets: Sequence[Market] = ()
) -> list[dg.ScheduleDefinition]:
    """Build one schedule per calendar in use and per market, and one of corporate actions for equities."""
    calendars = sorted({symbol.calendar for symbol in symbols})
    bars = [_build_nightly(name, [s for s in symbols if s.calendar == name], settings, markets) for name in calendars]
    nights = [*bars, *(_build_market_night(market, settings) for market in markets)]
    return [*nights, _build_corporate_actions(settings)] if "XNYS" in calendars else nights


def build_nightly_cron(settings: Settings) -> str:
    """Return the cron expression (UTC) of the nightly runs."""
    return f"{settings.backfill_schedule_minute} {settings.backfill_schedule_hour} * * *"


def _build_corporate_actions(settings: Settings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="nightly_corporate_actions",
        job=dg.define_asset_job(CORPORATE_ACTIONS_JOB, selection=dg.AssetSelection.assets(*CORPORATE_ACTION_KEYS)),
        cron_schedule=build_nightly_cron(settings),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night: the splits and dividends of every active equity.",
    )


def _build_nightly(
    calendar_name: str, symbols: Sequence[Symbol], settings: Settings, markets: Sequence[Market]
) -> dg.ScheduleDefinition:
    name = f"nightly_{find_calendar(calendar_name).market}"
    keys = [build_asset_key(symbol) for symbol in symbols]

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(f"{name}_job", selection=dg.AssetSelection.assets(*keys)),
        cron_schedule=build_nightly_cron(settings),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Every night: the last {format_count(settings.backfill_look_back_sessions, 'session')} of every active "
            f"symbol of the calendar {calendar_name}, and the sessions that earlier nights missed or failed to load."
        ),
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        latest = find_newest_ended_session(calendar_name, context.scheduled_execution_time)
        if latest is None:
            yield dg.SkipReason(f"The calendar {calendar_name} has had no session in the last two weeks.")
            return
        if market := _find_feeding(settings, markets, calendar_name):
            yield dg.SkipReason(f"The market {market.option} feeds these symbols: see {_name_market_schedule(market)}.")
            return
        for run in plan_night(settings, symbols, latest):
            yield dg.RunRequest(
                # Dagster needs a key for several requests; with the tick's time in it, no later night is skipped.
                run_key=f"{context.scheduled_execution_time.isoformat()} {run.sessions[0]} to {run.sessions[-1]}",
                asset_selection=[build_asset_key(symbol) for symbol in run.symbols],
                tags=build_range_tags(run.sessions[0], run.sessions[-1]),
            )

    return nightly


def _find_feeding(settings: Settings, markets: Sequence[Market], calendar_name: str) -> Market | None:
    """Return the market that feeds a calendar's symbols: one that has a schedule, and is still tracked."""
    if not markets:
        return None
    with warehouse_of(settings) as warehouse:
        tracked = list_tracked_markets(warehouse)
    return next((each for each in markets if each.calendar == calendar_name and each in tracked), None)


def _name_market_schedule(market: Market) -> str:
    return f"nightly_market_{market.name}"


def _build_market_night(market: Market, settings: Settings) -> dg.ScheduleDefinition:
    name = _name_market_schedule(market)

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(f"{name}_job", selection=dg.AssetSelection.assets(build_market_key(market))),
        cron_schedule=build_nightly_cron(settings),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Every night: the last {format_count(settings.backfill_look_back_sessions, 'session')} of the market "
            f"{market.title}, those that earlier nights missed or failed to load, those whose file the vendor has "
            "replaced, and what its tracked symbols lack then."
        ),
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        latest = find_newest_ended_session(market.calendar, context.scheduled_execution_time)
        if latest is None:
            return dg.SkipReason(f"The calendar {market.calendar} has had no session in the last two weeks.")
        with warehouse_of(settings) as warehouse:
            if market not in list_tracked_markets(warehouse):
                return dg.SkipReason(f"The market {market.option} is no longer tracked.")
            sessions = plan_market_range(warehouse, settings, market, latest)
        return dg.RunRequest(
            run_key=context.scheduled_execution_time.isoformat(),
            tags={**build_range_tags(sessions[0], sessions[-1]), SCOPE_TAG: MarketScope.NIGHT.value},
        )

    return nightly


def plan_market_range(warehouse: Engine, settings: Settings, market: Market, latest: date) -> list[date]:
    """Return the range of a market's night: up to `latest`, from the oldest session that it fetches.

    A market that was never requested begins with the sessions that each night fetches: its history is loaded on demand.
    """
    states = read_market_sessions(warehouse, market)
    look_back, reach_back = settings.backfill_look_back_sessions, settings.backfill_reach_back_sessions
    first = states[0].date if states else date.max
    recent = list_last_sessions(market.calendar, latest, reach_back)
    wanted = [day for day in recent if day >= first or day in recent[-look_back:]]
    night = plan_market_night(wanted, {state.date for state in states if state.is_loaded}, look_back=look_back)
    return list_sessions(market.calendar, night[0], latest)


def plan_night(settings: Settings, symbols: Sequence[Symbol], latest: date) -> list[RangeRun]:
    """Return the runs of a night for symbols of one calendar, whose newest session that is over is `latest`.

    Symbols removed since the definitions were loaded are left out. Sessions whose ticker turned out to be another one
    are fetched however old they are.
    """
    reach_back = settings.backfill_reach_back_sessions
    oldest = list_last_sessions(symbols[0].calendar, latest, reach_back)[0]
    day_before = oldest - timedelta(days=1)
    with warehouse_of(settings) as warehouse:
        tracked = set(list_active_symbols(warehouse))
        symbols = [symbol for symbol in symbols if symbol in tracked]
        if not symbols:
            return []
        gaps = find_oldest_gaps(warehouse, [symbol.name for symbol in symbols], oldest, latest)
        reassigned = plan_missing_runs(find_reassigned_spans(warehouse, symbols, day_before))
    nightly = plan_nightly_runs(
        symbols, gaps, latest, look_back=settings.backfill_look_back_sessions, reach_back=reach_back
    )
    return [*nightly, *reassigned]
