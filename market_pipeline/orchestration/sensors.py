"""Sensors, as Dagster declares them: `marts_after_loads` and `tracked_symbols_changed`. Alerts are in alert_sensors.py.

However many symbols and runs a night has, the marts are built once after them. Concept:
https://docs.dagster.io/guides/automate/sensors
"""

from collections.abc import Sequence

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from market_pipeline.core.markets import Market
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import choose_verb, format_count
from market_pipeline.dagster_storage.internals import UnresolvedAssetJobDefinition
from market_pipeline.orchestration.code_location import TRACKED_SYMBOLS_SENSOR
from market_pipeline.orchestration.mart_scope import request_run
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.load_history import read_newest_load

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
INTERVAL_SECONDS = 30


def build_marts_sensor(settings: Settings, marts_job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Build the sensor that requests a run of `marts_job` once no other run is under way."""

    @dg.sensor(
        name="marts_after_loads",
        job=marts_job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds the marts once after the runs that loaded something.",
    )
    def marts_after_loads(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with warehouse_of(settings) as warehouse:
            newest = read_newest_load(warehouse)
        if newest is None or newest == context.cursor:
            return dg.SkipReason("Nothing was loaded since the marts were last built.")
        runs = context.instance.get_runs(RunsFilter(statuses=UNDER_WAY))
        loading = [run for run in runs if run.job_name != marts_job.name]
        if loading:
            return dg.SkipReason(f"{format_count(len(loading), 'run')} {choose_verb(len(loading))} still under way.")
        with warehouse_of(settings) as warehouse:
            request = request_run(settings, warehouse, run_key=newest)
        context.update_cursor(newest)
        return request

    return marts_after_loads


def build_symbols_sensor(
    settings: Settings, loaded: Sequence[Symbol], markets: Sequence[Market] = ()
) -> dg.SensorDefinition:
    """Build the sensor that requests a reload of the definitions once other symbols or markets are tracked than these.

    Its evaluation is in symbols_sensor.py.
    """

    @dg.sensor(
        name=TRACKED_SYMBOLS_SENSOR,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a reload of the definitions when a symbol or a market was added or removed.",
    )
    def tracked_symbols_changed(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        # Imported here: it takes 0.2 s, which loading the definitions need not.
        from market_pipeline.orchestration.symbols_sensor import request_reload_for_changes

        return request_reload_for_changes(context, settings, loaded, markets)

    return tracked_symbols_changed
