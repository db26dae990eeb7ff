"""Runs and steps on workers, several machines wide: dagster-celery's launcher and executor, which notice a lost worker.

As shipped, a run whose worker was killed counts as running until its longest time is over, and a run waits for ever
for a step whose worker was. Here the run is marked as failed, so that Dagster starts it again, and the step is handed
to another worker. Both may be done twice so: loading what is loaded changes nothing.
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
from market_pipeline.orchestration.celery_app import WAITING, app_arguments, lost

ASK_AFTER_SECONDS = 5.0
"""How often a run asks after a step of its own."""

ATTEMPTS = 3
"""How often a step is begun in all: one that takes its worker down each time must not do so for ever."""


class WorkerGoneError(MarketPipelineError):
    """A step took one worker after another with it."""


class WatchedRunLauncher(CeleryRunLauncher):
    """Sends runs to the queue `runs`. Named in dagster.yaml; where Redis is, the settings say."""

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
        """The launcher that the settings describe.

        Raises:
            MarketPipelineError: the settings are wrong, or name no Redis.
        """
        return cls(default_queue="runs", inst_data=inst_data, **app_arguments(load_settings(), "runs"))

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send a run to the workers."""
        _forget_tasks(self.celery)
        super().launch_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a run that has begun is still being worked on. Dagster's daemon marks it as failed where it isn't."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None:  # a command's own run, which runs in its own process
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        task = self.celery.AsyncResult(task_id)
        if task.ready():
            return CheckRunHealthResult(WorkerStatus.FAILED, "The worker's process ended without finishing the run.")
        reason = lost(task)
        if reason is not None:
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{reason}; the run was not finished.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:  # noqa: ARG002
        """Nothing: the reason that the health check gives says it all."""
        return None

    def terminate(self, run_id: str) -> bool:
        """Stop a run: its process is interrupted, as Ctrl-C would; one that still waits for a worker never begins."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        task = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        waits = task.state == WAITING
        self._instance.report_run_canceling(run)
        task.revoke(terminate=True)
        if waits:
            self._instance.report_run_canceled(run)
        return True


@dg.executor(name="workers", requirements=dg.multiple_process_executor_requirements())
def steps_on_workers(_context: dg.InitExecutorContext) -> Executor:
    """Sends the steps of a run to the queue `steps`."""
    return WatchedExecutor(app_arguments(load_settings(), "steps"))


class WatchedExecutor(Executor):
    """dagster-celery's loop over the steps of a run, with steps that leave a lost worker for another one."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments

    @property
    def retries(self) -> RetryMode:
        """Retries that a step asks for are given."""
        return RetryMode.ENABLED

    def app_args(self) -> dict[str, Any]:
        """What dagster-celery's loop makes its Celery app of."""
        return self._arguments

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Hand out the steps and yield what became of them."""
        yield from core_celery_execution_loop(plan_context, execution_plan, _handed_over)  # type: ignore[no-untyped-call]


def _handed_over(
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
    """dagster-celery declares its task anew for each one it sends, and Celery warns of each."""
    for name in (TASK_EXECUTE_JOB_NAME, TASK_EXECUTE_PLAN_NAME):
        app.tasks.pop(name, None)


class StepOnWorker:
    """A step's result, as far as dagster-celery's loop uses one.

    Args:
        key: the step's.
        submit: hands it to the workers; called again where the one that took it is gone.
        report: writes to the run's log.
    """

    def __init__(self, key: str, submit: Callable[[], AsyncResult], report: Callable[[str], None]) -> None:
        self._key = key
        self._submit = submit
        self._report = report
        self._task = submit()
        self._begun = 1
        self._asked_at = time.monotonic()
        self._failure: WorkerGoneError | None = None

    def ready(self) -> bool:
        """Whether it has ended, or won't."""
        try:
            reason = self._lost()
            if reason is None:
                return bool(self._task.ready())
        except (RedisError, OperationalError):  # it says nothing about the step
            return False
        self._hand_over(reason)
        return self._failure is not None

    def get(self) -> list[str]:
        """What happened in it: events, serialized. They are taken out of Redis, where they'd lie for days.

        Raises:
            WorkerGoneError: no worker survived it.
            Exception: what it failed with on the worker.
        """
        if self._failure is not None:
            raise self._failure
        try:
            # The run may be a task itself; it holds no place that the step could be waiting for.
            events: list[str] = self._task.get(disable_sync_subtasks=False)
        finally:
            self._task.forget()
        return events

    def revoke(self) -> None:
        """Interrupt it, as Ctrl-C would."""
        self._task.revoke(terminate=True)

    def _lost(self) -> str | None:
        if isinstance(self._task.result, WorkerLostError):
            return "The worker's process was killed"
        if self._task.state == WAITING or time.monotonic() < self._asked_at + ASK_AFTER_SECONDS:
            return None
        self._asked_at = time.monotonic()
        return lost(self._task)

    def _hand_over(self, reason: str) -> None:
        if self._begun == ATTEMPTS:
            self._failure = WorkerGoneError(f"{reason}. {self._key} was begun {ATTEMPTS} times and is given up.")
            return
        self._begun += 1
        self._report(f"{reason}: {self._key} is handed to another one, attempt {self._begun} of {ATTEMPTS}.")
        self._task = self._submit()
        self._asked_at = time.monotonic()
