"""The sensors: one has the analysts' tables built once the loads are over, one has newly tracked symbols loaded.

However many symbols and runs a night has, the tables are built once after them. Concept:
https://docs.dagster.io/guides/automate/sensors
"""

from collections.abc import Sequence

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import are, counted
from market_pipeline.dagster_storage.internals import UnresolvedAssetJobDefinition
from market_pipeline.orchestration.code_location import SENSOR
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.load_history import newest_load

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
SECONDS = 30


def build_sensors(settings: Settings, marts_job: UnresolvedAssetJobDefinition) -> list[dg.SensorDefinition]:
    """The sensor that requests runs of `marts_job`."""

    @dg.sensor(
        name="marts_after_loads",
        job=marts_job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds the analysts' tables once after the runs that loaded something.",
    )
    def marts_after_loads(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with warehouse_of(settings) as warehouse:
            newest = newest_load(warehouse)
        if newest is None or newest == context.cursor:
            return dg.SkipReason("Nothing was loaded since the tables were last built.")
        runs = context.instance.get_runs(RunsFilter(statuses=UNDER_WAY))
        loading = [run for run in runs if run.job_name != marts_job.name]
        if loading:
            return dg.SkipReason(f"{counted(len(loading), 'run')} {are(len(loading))} still under way.")
        context.update_cursor(newest)
        return dg.RunRequest(run_key=newest)

    return [marts_after_loads]


def build_symbols_sensor(settings: Settings, loaded: Sequence[Symbol]) -> dg.SensorDefinition:
    """The sensor that has the definitions, which hold the symbols `loaded`, loaded again once others are tracked.

    It also keeps what Dagster's database says of the schedules at what these definitions say.
    """

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the project loaded again when a symbol was added to tracked_symbols or removed from it.",
    )
    def tracked_symbols_changed(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from market_pipeline.orchestration.symbols_sensor import (
            request_reload_for_changes,  # 0.2 s that declaring it needn't
        )

        return request_reload_for_changes(context, settings, loaded)

    return tracked_symbols_changed
