"""The sensor that has the analysts' tables built once the loads that feed them are over.

However many symbols and runs a night has, the tables are built once after them. Concept:
https://docs.dagster.io/guides/automate/sensors
"""

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from market_pipeline.orchestration.marts import JOB, Job
from market_pipeline.settings import Settings
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.reading import newest_load

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
SECONDS = 30


def build_sensors(settings: Settings, marts_job: Job) -> list[dg.SensorDefinition]:
    """The one sensor, which requests runs of `marts_job`."""

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
        loading = [run for run in runs if run.job_name != JOB]
        if loading:
            return dg.SkipReason(f"{len(loading)} runs are still under way.")
        context.update_cursor(newest)
        return dg.RunRequest(run_key=newest)

    return [marts_after_loads]
