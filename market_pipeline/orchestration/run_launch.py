"""Launching partition-range runs from this process, as the command line does: one run a calendar.

A run launched here is a run like any other: the UI shows it, its partitions and its logs.
"""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from sqlalchemy import Engine, text

from market_pipeline.core import stop_signals
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.run_planning import TRIGGER_TAG, RangeRun
from market_pipeline.core.settings import Settings, project_dir
from market_pipeline.dagster_storage.internals import (
    InMemoryJob,
    InstanceRef,
    execute_run_iterator,
    is_dagster_home_set,
)
from market_pipeline.orchestration.assets import asset_key
from market_pipeline.orchestration.failure_causes import innermost
from market_pipeline.orchestration.partitions import partition_range_tags
from market_pipeline.orchestration.run_output import on_the_terminal

LAUNCHED_BY = {TRIGGER_TAG: "cli"}
STOPPED = "the command was told to stop"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class LaunchedRun:
    """A run that has ended."""

    run_id: str
    success: bool
    error: str | None
    """Why it failed, where that was the run's own failure and not a symbol's."""


@contextmanager
def open_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Dagster's instance: DAGSTER_HOME's where it is set, else the one the project's dagster.yaml describes."""
    if is_dagster_home_set():
        instance = DagsterInstance.get()
    else:
        home = settings.dagster_dir
        home.mkdir(parents=True, exist_ok=True)
        instance = DagsterInstance.from_ref(InstanceRef.from_dir(str(home), config_dir=str(project_dir())))
    with instance:
        yield instance


def launch(
    definitions: dg.Definitions,
    range_run: RangeRun,
    instance: DagsterInstance,
    warehouse: Engine,
    run_id: str | None = None,
) -> LaunchedRun:
    """Load the symbols of a range run in this process; returns once it has ended, whether well or not.

    A command that is told to stop ends the run too, which is canceled then; what it has loaded stays.
    """
    keys = [asset_key(symbol) for symbol in range_run.symbols]
    job = definitions.get_repository_def().get_implicit_job_def_for_assets(keys)
    if job is None:
        raise MarketPipelineError("the symbols changed while the run was being prepared: run the command again")
    tags = partition_range_tags(range_run.sessions[0], range_run.sessions[-1])
    return _executed(job, keys, tags, instance, warehouse, run_id)


def launch_job(definitions: dg.Definitions, name: str, instance: DagsterInstance, warehouse: Engine) -> LaunchedRun:
    """Run a job in this process; returns once it has ended, whether well or not."""
    return _executed(definitions.resolve_job_def(name), None, {}, instance, warehouse)


def _executed(
    job: dg.JobDefinition,
    keys: Sequence[dg.AssetKey] | None,
    tags: Mapping[str, str],
    instance: DagsterInstance,
    warehouse: Engine,
    run_id: str | None = None,
) -> LaunchedRun:
    run_id = run_id or str(uuid4())
    error = None
    with _alive(warehouse, run_id), _terminated_as_before(), on_the_terminal(instance):
        try:
            run = instance.create_run_for_job(
                job,
                run_id=run_id,
                run_config=QUIET,
                tags={**LAUNCHED_BY, **tags},
                asset_selection=frozenset(keys) if keys else None,
            )
            canceling = False
            # One event after another: the events of a long range together would fill the memory.
            for event in execute_run_iterator(InMemoryJob(job), run, instance):
                error = error or _cause(event)
                if stop_signals.requested() and not canceling:
                    canceling = True
                    instance.report_run_canceling(run)  # else Dagster would record a failure, and alerts be sent
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            error = STOPPED
        if error == STOPPED or stop_signals.requested():
            error = STOPPED
            _cancel(instance, run_id)
    ended = instance.get_run_by_id(run_id)
    return LaunchedRun(run_id, ended is not None and ended.is_success, error)


def _cancel(instance: DagsterInstance, run_id: str) -> None:
    """Record the end of a run that was stopped before Dagster could."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceled(run, "The command that executed this run was told to stop.")


def close_abandoned_runs(instance: DagsterInstance, warehouse: Engine) -> list[str]:
    """Mark as failed the runs launched here whose process is gone without a word, and return their ids.

    Without this a run killed half-way would stay "started" in the UI for ever.
    """
    # A run is not started yet while its plan is recorded, which takes seconds.
    unfinished = [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]
    started = RunsFilter(statuses=unfinished, tags=LAUNCHED_BY)
    abandoned: list[str] = []
    for run in instance.get_runs(started):
        with warehouse.connect() as connection:
            taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _lock_key(run.run_id)})
            if not taken.scalar_one():
                continue
            now = instance.get_run_by_id(run.run_id)  # which may have ended well in the meantime
            if now is not None and not now.is_finished:
                instance.report_run_failed(now, "The process that executed this run ended without finishing it.")
                abandoned.append(run.run_id)
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _lock_key(run.run_id)})
    return abandoned


def _cause(event: dg.DagsterEvent) -> str | None:
    """The innermost reason of a failure, in one line; None where the event is none."""
    error = getattr(event.event_specific_data, "error", None)
    return None if error is None else innermost(error)


@contextmanager
def _alive(warehouse: Engine, run_id: str) -> Iterator[None]:
    """Hold a lock for the run: PostgreSQL releases it when this process ends, however it ends."""
    with warehouse.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(run_id)})
        connection.commit()
        yield


@contextmanager
def _terminated_as_before() -> Iterator[None]:
    """Give SIGTERM back its meaning: Dagster makes it an interrupt, and leaves it one once the run has ended.

    A command that is about to end would then tell of an interrupt where it should simply end.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # the only one that may, and in which Dagster does
            signal.signal(signal.SIGTERM, before)


def _lock_key(run_id: str) -> int:
    return int(run_id.replace("-", "")[:15], 16)
