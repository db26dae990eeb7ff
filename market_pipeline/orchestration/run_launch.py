"""Launch of runs in this process, as the command line does: one run per calendar, over a range of partitions.

The Dagster UI shows such a run, its partitions and its logs like any other.
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
from market_pipeline.core.settings import Settings, find_project_dir
from market_pipeline.dagster_storage.internals import (
    InMemoryJob,
    InstanceRef,
    execute_run_iterator,
    is_dagster_home_set,
)
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.failure_causes import describe_root_cause
from market_pipeline.orchestration.partitions import build_range_tags
from market_pipeline.orchestration.run_output import on_the_terminal
from market_pipeline.warehouse.locks import hold_lock

LAUNCHED_BY = {TRIGGER_TAG: "cli"}
STOPPED = "the command was stopped"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class LaunchedRun:
    """A run that has ended."""

    run_id: str
    success: bool
    error: str | None
    """Reason of the run's own failure; None if only symbols failed."""


@contextmanager
def open_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Open Dagster's instance: that of DAGSTER_HOME if set, else the one of the project's dagster.yaml."""
    if is_dagster_home_set():
        instance = DagsterInstance.get()
    else:
        home = settings.dagster_dir
        home.mkdir(parents=True, exist_ok=True)
        instance = DagsterInstance.from_ref(InstanceRef.from_dir(str(home), config_dir=str(find_project_dir())))
    with instance:
        yield instance


def launch_range_run(
    definitions: dg.Definitions,
    range_run: RangeRun,
    instance: DagsterInstance,
    warehouse: Engine,
    run_id: str | None = None,
) -> LaunchedRun:
    """Load the symbols of a range run in this process, and return its result once it has ended.

    A stop signal to the command cancels the run too; loaded bars stay.

    Raises:
        MarketPipelineError: a symbol is not among the definitions.
    """
    keys = [build_asset_key(symbol) for symbol in range_run.symbols]
    tags = build_range_tags(range_run.sessions[0], range_run.sessions[-1])
    return launch_assets(definitions, keys, tags, instance, warehouse, run_id)


def launch_assets(
    definitions: dg.Definitions,
    keys: Sequence[dg.AssetKey],
    tags: Mapping[str, str],
    instance: DagsterInstance,
    warehouse: Engine,
    run_id: str | None = None,
) -> LaunchedRun:
    """Materialize assets in this process as one run with these tags, which name its partitions.

    Raises:
        MarketPipelineError: an asset is not among the definitions.
    """
    job = definitions.get_repository_def().get_implicit_job_def_for_assets(keys)
    if job is None:
        raise MarketPipelineError("the symbols changed while the run was being prepared: run the command again")
    return _execute(job, keys, tags, instance, warehouse, run_id)


def launch_job(definitions: dg.Definitions, name: str, instance: DagsterInstance, warehouse: Engine) -> LaunchedRun:
    """Run a job in this process, and return its result once it has ended."""
    return _execute(definitions.resolve_job_def(name), None, {}, instance, warehouse)


def _execute(
    job: dg.JobDefinition,
    keys: Sequence[dg.AssetKey] | None,
    tags: Mapping[str, str],
    instance: DagsterInstance,
    warehouse: Engine,
    run_id: str | None = None,
) -> LaunchedRun:
    run_id = run_id or str(uuid4())
    error = None
    with hold_lock(warehouse, _lock_key(run_id)), _kept_sigterm_handler(), on_the_terminal(instance):
        try:
            # Dagster's own mutation hands a run to the daemon. A command works with no service running, and ends with
            # its run. Dagster's GraphQL alone would add 0.7 s of imports to it.
            run = instance.create_run_for_job(
                job,
                run_id=run_id,
                run_config=QUIET,
                tags={**LAUNCHED_BY, **tags},
                asset_selection=frozenset(keys) if keys else None,
            )
            canceling = False
            # An iterator: the events of a long range would fill the memory.
            for event in execute_run_iterator(InMemoryJob(job), run, instance):
                failure = getattr(event.event_specific_data, "error", None)
                error = error or (failure and describe_root_cause(failure))
                if stop_signals.is_requested() and not canceling:
                    canceling = True
                    instance.report_run_canceling(run)  # else Dagster records a failure, and alerts are sent
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            error = STOPPED
        if error == STOPPED or stop_signals.is_requested():
            error = STOPPED
            _cancel(instance, run_id)
    ended = instance.get_run_by_id(run_id)
    return LaunchedRun(run_id, ended is not None and ended.is_success, error)


def _cancel(instance: DagsterInstance, run_id: str) -> None:
    """Record the end of a run that was stopped before Dagster could."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceled(run, "The command that executed this run was stopped.")


def close_abandoned_runs(instance: DagsterInstance, warehouse: Engine) -> list[str]:
    """Mark the runs of killed commands as failed, and return their ids.

    Without this such a run would stay "started" in the UI for ever.
    """
    # A run stays NOT_STARTED for seconds, while its plan is recorded.
    unfinished = [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]
    started = RunsFilter(statuses=unfinished, tags=LAUNCHED_BY)
    abandoned: list[str] = []
    for run in instance.get_runs(started):
        with warehouse.connect() as connection:
            taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _lock_key(run.run_id)})
            if not taken.scalar_one():
                continue
            current = instance.get_run_by_id(run.run_id)  # it may have ended in the meantime
            if current is not None and not current.is_finished:
                instance.report_run_failed(current, "The process that executed this run ended without finishing it.")
                abandoned.append(run.run_id)
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _lock_key(run.run_id)})
    return abandoned


@contextmanager
def _kept_sigterm_handler() -> Iterator[None]:
    """Restore the SIGTERM handler that Dagster replaces during a run and does not put back.

    Dagster's handler raises KeyboardInterrupt: a command about to end would report an interrupt.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # Only in the main thread may a handler be set, and only there Dagster sets one.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _lock_key(run_id: str) -> int:
    return int(run_id.replace("-", "")[:15], 16)
