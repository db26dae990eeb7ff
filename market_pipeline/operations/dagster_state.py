"""Dagster's state, as `status` and `doctor` report it: nightly runs, runs in progress, and the last failed run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from sqlalchemy import Engine

from market_pipeline.core.run_planning import find_trigger
from market_pipeline.core.settings import Settings
from market_pipeline.dagster_storage.internals import FINISHED_STATUSES
from market_pipeline.orchestration.instance import open_existing_instance
from market_pipeline.orchestration.scheduler_status import ScheduleState, read_scheduler_state
from market_pipeline.orchestration.sensors import UNDER_WAY

NEWEST_RUNS = 20
"""The most runs among which the newest one that no command started is searched."""


@dataclass(frozen=True)
class DagsterState:
    """State of the nightly runs (`problem` says why they won't happen), in UTC, and the number of runs in progress.

    `failed_run` is the id of the newest finished run that no command started, if that run failed.
    """

    running: bool
    problem: str | None
    last_heartbeat: datetime | None = None
    next_run: datetime | None = None
    schedules: Sequence[ScheduleState] = ()
    runs_under_way: int = 0
    failed_run: str | None = None


def probe_dagster(settings: Settings, warehouse: Engine, now: datetime) -> DagsterState | None:
    """Read Dagster's state at `now` from its database; None if Dagster has never run on it.

    Raises:
        DagsterDatabaseError: the database can't be used.
    """
    with open_existing_instance(settings, warehouse) as instance:
        if instance is None:
            return None
        scheduler = read_scheduler_state(instance, now)
        return DagsterState(
            running=scheduler.running,
            problem=scheduler.reason,
            last_heartbeat=scheduler.last_heartbeat,
            next_run=scheduler.next_run,
            schedules=list(scheduler.schedules),
            runs_under_way=instance.get_runs_count(RunsFilter(statuses=UNDER_WAY)),
            failed_run=_find_last_failed_run(instance),
        )


def _find_last_failed_run(instance: DagsterInstance) -> str | None:
    finished = instance.get_runs(RunsFilter(statuses=FINISHED_STATUSES), limit=NEWEST_RUNS)
    newest = next((run for run in finished if find_trigger(run.tags) != "cli"), None)
    return newest.run_id if newest is not None and newest.status is DagsterRunStatus.FAILURE else None
