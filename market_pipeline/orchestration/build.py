"""Dagster's definitions, built from the settings and the tracked symbols at each load."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from market_pipeline.core.markets import Market
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.alert_sensors import build_alert_sensors
from market_pipeline.orchestration.assets import build_asset_key, build_assets
from market_pipeline.orchestration.corporate_action_assets import build_corporate_actions
from market_pipeline.orchestration.market_assets import build_market_assets, build_market_key
from market_pipeline.orchestration.mart_assets import build_marts, build_marts_job
from market_pipeline.orchestration.removed_symbols import find_symbols_under_way
from market_pipeline.orchestration.resources import OnLoaded, OnRefreshed, OnSessionLoaded, build_pipeline_resource
from market_pipeline.orchestration.run_logs import set_run_logger
from market_pipeline.orchestration.schedules import build_schedules
from market_pipeline.orchestration.sensors import build_marts_sensor, build_symbols_sensor
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.session_calendar import record_sessions
from market_pipeline.warehouse.tracked_markets import list_tracked_markets
from market_pipeline.warehouse.tracked_symbols import list_active_symbols, list_removed_symbols


def build_definitions(settings: Settings) -> dg.Definitions:
    """Build all definitions, for the symbols tracked now.

    Raises:
        MarketPipelineError: the database can't be read, or dbt can't read its project.
    """
    set_run_logger(settings)
    executor = choose_executor(settings)
    return dg.Definitions.merge(build_loading(settings, executor=executor), build_analytics(settings, executor))


def choose_executor(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor of a run's steps: in the run's process, or on workers if STEPS_ON_WORKERS is set."""
    if not settings.steps_on_workers:
        # The vendor bounds fetching, PostgreSQL loading: one process per step would cost seconds and gain nothing.
        return dg.in_process_executor
    # Celery is an extra: installations on one machine lack it.
    from market_pipeline.orchestration.workers import steps_on_workers

    return steps_on_workers


def build_loading(
    settings: Settings,
    on_loaded: OnLoaded = lambda _result: None,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
    extra_symbols: Sequence[Symbol] = (),
    on_refreshed: OnRefreshed = lambda _result: None,
) -> dg.Definitions:
    """Build the assets of symbols, markets and corporate actions, their schedules, and the sensors of both and alerts.

    Args:
        settings: name the warehouse and the vendor.
        on_loaded: called with each symbol's load result.
        executor: executes the steps of runs.
        extra_symbols: symbols that get an asset though they may have been removed, so that a run covering them records
            their failure.
        on_refreshed: called with the results of a run's requests for splits and dividends.

    Raises:
        MarketPipelineError: the database can't be read. Definitions without assets would hide the tracked symbols.
    """
    today = datetime.now(UTC).date()
    with warehouse_of(settings) as warehouse:
        markets = list_tracked_markets(warehouse)
        under_way = find_symbols_under_way(settings, list_removed_symbols(warehouse))
        symbols = sorted({*list_active_symbols(warehouse), *under_way, *extra_symbols})
        with warehouse.begin() as connection:
            record_sessions(connection, today)
    return dg.Definitions(
        assets=[
            *build_assets(symbols, today, in_one_process=executor is dg.in_process_executor),
            *build_market_assets(markets, today),
            *build_corporate_actions(),
        ],
        schedules=build_schedules(symbols, settings, markets),
        sensors=[build_symbols_sensor(settings, symbols, markets), *build_alert_sensors(settings)],
        resources={"pipeline": build_pipeline_resource(settings, on_loaded, on_refreshed)},
        executor=executor,
    )


def build_market_loading(settings: Settings, market: Market, on_session_loaded: OnSessionLoaded) -> dg.Definitions:
    """Build the asset of one market alone, for a command that loads it."""
    return dg.Definitions(
        assets=build_market_assets([market], datetime.now(UTC).date()),
        resources={"pipeline": build_pipeline_resource(settings, on_session_loaded=on_session_loaded)},
        executor=dg.in_process_executor,
    )


def build_analytics(settings: Settings, executor: dg.ExecutorDefinition = dg.in_process_executor) -> dg.Definitions:
    """Build the marts, the analysts' tables, with their job and the sensor that starts it after the loads.

    Raises:
        MarketPipelineError: the database can't be read, or dbt can't read its project.
    """
    with warehouse_of(settings) as warehouse:
        loaders = [
            *map(build_asset_key, list_active_symbols(warehouse)),
            *map(build_market_key, list_tracked_markets(warehouse)),
        ]
    job = build_marts_job()
    return dg.Definitions(
        assets=build_marts(settings, loaders),
        jobs=[job],
        sensors=[build_marts_sensor(settings, job)],
        executor=executor,
    )
