"""Dagster's definitions, built afresh from the settings and the tracked symbols."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.alert_sensors import build_alert_sensors
from market_pipeline.orchestration.assets import build_assets
from market_pipeline.orchestration.corporate_action_assets import build_corporate_actions
from market_pipeline.orchestration.mart_assets import build_marts, marts_job
from market_pipeline.orchestration.removed_symbols import symbols_under_way
from market_pipeline.orchestration.resources import Loaded, pipeline_resource
from market_pipeline.orchestration.run_logs import set_run_logger
from market_pipeline.orchestration.schedules import build_schedules
from market_pipeline.orchestration.sensors import build_sensors, build_symbols_sensor
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.session_calendar import record_sessions
from market_pipeline.warehouse.tracked_symbols import active_symbols, removed_symbols


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything Dagster needs to know, for the symbols tracked now.

    Raises:
        MarketPipelineError: the database can't be read, or dbt can't read its project.
    """
    set_run_logger(settings)
    executor = step_executor(settings)
    return dg.Definitions.merge(build_loading(settings, executor=executor), build_analytics(settings, executor))


def step_executor(settings: Settings) -> dg.ExecutorDefinition:
    """What executes the steps of Dagster's runs: the run's own process, or the workers if STEPS_ON_WORKERS says so."""
    if not settings.steps_on_workers:
        # Fetching is bound by the vendor, loading by PostgreSQL: a process a step would cost seconds for nothing.
        return dg.in_process_executor
    # One machine needs no Celery.
    from market_pipeline.orchestration.workers import steps_on_workers

    return steps_on_workers


def build_loading(
    settings: Settings,
    loaded: Loaded = lambda _outcome: None,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
    also: Sequence[Symbol] = (),
) -> dg.Definitions:
    """What loads the warehouse: the symbols, splits and dividends, and what starts it.

    Args:
        settings: say where the warehouse and the vendor are.
        loaded: told each symbol's outcome.
        executor: what executes the steps of runs.
        also: symbols that have an asset though they may have been removed: a run that covers them accounts for that.

    Raises:
        MarketPipelineError: the database can't be read. No assets at all would be a lie about what is tracked.
    """
    today = datetime.now(UTC).date()
    with warehouse_of(settings) as warehouse:
        under_way = symbols_under_way(settings, removed_symbols(warehouse))
        symbols = sorted({*active_symbols(warehouse), *under_way, *also})
        with warehouse.begin() as connection:
            record_sessions(connection, today)
    return dg.Definitions(
        assets=[
            *build_assets(symbols, today, in_one_process=executor is dg.in_process_executor),
            *build_corporate_actions(),
        ],
        schedules=build_schedules(symbols, settings),
        sensors=[build_symbols_sensor(settings, symbols), *build_alert_sensors(settings)],
        resources={"pipeline": pipeline_resource(settings, loaded)},
        executor=executor,
    )


def build_analytics(settings: Settings, executor: dg.ExecutorDefinition = dg.in_process_executor) -> dg.Definitions:
    """What is made of the warehouse's tables: the analysts' tables, built after the loads.

    Raises:
        MarketPipelineError: the database can't be read, or dbt can't read its project.
    """
    with warehouse_of(settings) as warehouse:
        symbols = active_symbols(warehouse)
    job = marts_job()
    return dg.Definitions(
        assets=build_marts(settings, symbols),
        jobs=[job],
        sensors=build_sensors(settings, job),
        executor=executor,
    )
