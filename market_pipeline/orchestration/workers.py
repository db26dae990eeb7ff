"""Runs and steps on workers of several machines: dagster-celery's launcher and executor, with lost workers detected.

As shipped, a run whose worker was killed counts as running until its time limit, and a run waits for ever for a step
whose worker was killed. Here the run is marked as failed, so that Dagster starts it again, and the step goes to another
worker. Both may run twice that way: a second load changes nothing.
Concept: https://docs.dagster.io/deployment/execution/celery
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from celery import Celery
from celery.exceptions import WorkerLostError
from celery.result import AsyncResult
from dagster import DagsterEvent, Executor
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import load_settings
from market_pipeline.dagster_storage.celery_internals import (
    DAGSTER_CELERY_TASK_ID_TAG,
    TASK_EXECUTE_JOB_NAME,
    TASK_EXECUTE_PLAN_NAME,
    CeleryRunLauncher,
    core_celery_execution_loop,
    submit_task,
)
from market_pipeline.dagster_storage.internals import (
    CheckRunHealthResult,
    ConfigurableClassData,
    ExecutionPlan,
    ExecutionStep,
    KnownExecutionState,
    LaunchRunContext,
    PlanOrchestrationContext,
    RetryMode,
    WorkerStatus,
)
from market_pipeline.orchestration.celery_app import WAITING, build_app_arguments, explain_loss

CHECK_SECONDS = 5.0
"""Time between two checks of a step's worker by its run."""

ATTEMPTS = 3
"""The most attempts of a step: one that kills its worker each time must not do so for ever."""


class WorkerGoneError(MarketPipelineError):
    """A step lost its worker in every attempt."""


class WatchedRunLauncher(CeleryRunLauncher):
    """Launcher that sends runs to the queue `runs`. dagster.yaml names it; the settings name Redis."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The keys under `config:` in dagster.yaml: none."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> "WatchedRunLauncher":
        """Build the launcher from the settings.

        Raises:
            MarketPipelineError: a setting is invalid, or CELERY_BROKER_URL is not set.
        """
        return cls(default_queue="runs", inst_data=inst_data, **build_app_arguments(load_settings(), "runs"))

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send a run to the workers."""
        _forget_tasks(self.celery)
        super().launch_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return the health of a begun run's worker. Dagster's daemon marks the run as failed if it is lost."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None:  # a run of the command line, in the command's process
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        task = self.celery.AsyncResult(task_id)
        if task.ready():
            return CheckRunHealthResult(WorkerStatus.FAILED, "The worker's process ended without finishing the run.")
        reason = explain_loss(task)
        if reason is not None:
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{reason}; the run was not finished.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:  # noqa: ARG002
        """Return None: the health check's reason is complete."""
        return None

    def terminate(self, run_id: str) -> bool:
        """Stop a run: interrupt its process as Ctrl-C would, or drop it if no worker has begun it."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None and run.status is not dg.DagsterRunStatus.STARTING:  # a run of the command line
            return False
        # A run has its task's id only once the broker has the task. A worker doesn't begin a run that is canceled.
        task = self.celery.AsyncResult(task_id) if task_id is not None else None
        is_waiting = task is None or task.state == WAITING
        self._instance.report_run_canceling(run)
        if task is not None:
            task.revoke(terminate=True)
        if is_waiting:
            self._instance.report_run_canceled(run)
        return True


@dg.executor(name="workers", requirements=dg.multiple_process_executor_requirements())
def steps_on_workers(_context: dg.InitExecutorContext) -> Executor:
    """Send the steps of a run to the queue `steps`."""
    return WatchedExecutor(build_app_arguments(load_settings(), "steps"))


class WatchedExecutor(Executor):
    """Executor with dagster-celery's loop over the steps of a run, whose steps leave a lost worker for another."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments

    @property
    def retries(self) -> RetryMode:
        """Retries are on, if a step requests one."""
        return RetryMode.ENABLED

    def app_args(self) -> dict[str, Any]:
        """Return the arguments of the Celery app, for dagster-celery's loop."""
        return self._arguments

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Submit the steps and yield their events."""
        yield from core_celery_execution_loop(plan_context, execution_plan, _submit_step)  # type: ignore[no-untyped-call]


def _submit_step(
    app: Celery,
    context: PlanOrchestrationContext,
    step: ExecutionStep,
    queue: str,
    priority: int,
    known_state: KnownExecutionState,
) -> "StepOnWorker":
    def report(message: str) -> None:
        context.instance.report_engine_event(message, context.dagster_run, step_key=step.key)

    def submit() -> AsyncResult:
        _forget_tasks(app)
        return submit_task(app, context, step, queue, priority, known_state)  # type: ignore[no-untyped-call]

    return StepOnWorker(step.key, submit, report)


def _forget_tasks(app: Celery) -> None:
    """Remove dagster-celery's tasks from the app: it declares them for each submission, and Celery warns each time."""
    for name in (TASK_EXECUTE_JOB_NAME, TASK_EXECUTE_PLAN_NAME):
        app.tasks.pop(name, None)


class StepOnWorker:
    """The result of a submitted step, with the methods that dagster-celery's loop calls.

    Args:
        key: the step's key.
        submit: submits the step to the workers; called again when its worker is lost.
        report: writes to the run's log.
    """

    def __init__(self, key: str, submit: Callable[[], AsyncResult], report: Callable[[str], None]) -> None:
        self._key = key
        self._submit = submit
        self._report = report
        self._task = submit()
        self._attempt = 1
        self._checked_at = time.monotonic()
        self._failure: WorkerGoneError | None = None

    def ready(self) -> bool:
        """Return True if the step has ended or has no attempt left."""
        try:
            reason = self._explain_loss()
            if reason is None:
                return bool(self._task.ready())
        except (RedisError, OperationalError):  # no sign of a lost worker
            return False
        self._resubmit(reason)
        return self._failure is not None

    def get(self) -> list[str]:
        """Return the step's events, serialized, and remove them from Redis, which would keep them for days.

        Raises:
            WorkerGoneError: the worker was lost in every attempt.
            Exception: the step's own error on the worker.
        """
        if self._failure is not None:
            raise self._failure
        try:
            # Celery forbids waiting inside a task, as a run is; but runs take up no worker of the queue `steps`.
            events: list[str] = self._task.get(disable_sync_subtasks=False)
        finally:
            self._task.forget()
        return events

    def revoke(self) -> None:
        """Interrupt the step, as Ctrl-C would."""
        self._task.revoke(terminate=True)

    def _explain_loss(self) -> str | None:
        if isinstance(self._task.result, WorkerLostError):
            return "The worker's process was killed"
        if self._task.state == WAITING or time.monotonic() < self._checked_at + CHECK_SECONDS:
            return None
        self._checked_at = time.monotonic()
        return explain_loss(self._task)

    def _resubmit(self, reason: str) -> None:
        if self._attempt == ATTEMPTS:
            self._failure = WorkerGoneError(
                f"{reason}. {self._key} failed after {ATTEMPTS} attempts. See the workers' logs, then run it again."
            )
            return
        self._attempt += 1
        self._report(f"{reason}: {self._key} goes to another worker, attempt {self._attempt} of {ATTEMPTS}.")
        self._task = self._submit()
        self._checked_at = time.monotonic()
