"""`market-pipeline worker`: a Celery worker that executes runs or steps from Redis, in the foreground."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from market_pipeline.core import stop_signals
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.settings import load_settings

if TYPE_CHECKING:
    from celery import Celery

    from market_pipeline.core.settings import Settings


class WorkersMissingError(MarketPipelineError):
    """The packages that workers need are not installed."""


class NoHomeError(UsageError):
    """DAGSTER_HOME is not set."""


def worker(
    queue: Annotated[
        Literal["runs", "steps"], typer.Option(help="Queue to work on; steps is for STEPS_ON_WORKERS=true.")
    ] = "runs",
    at_once: Annotated[int, typer.Option(min=1, help="Number to execute at once, each in its own process.")] = 4,
) -> None:
    """Execute runs from the Redis of CELERY_BROKER_URL until Ctrl-C or SIGTERM; runs in progress are finished first.

    It needs the same database, settings and code as the other processes, and DAGSTER_HOME=deploy/celery.
    """
    if not Path(os.environ.get("DAGSTER_HOME", "")).is_absolute():
        raise NoHomeError("DAGSTER_HOME is not set: give it the full path of the checkout's folder deploy/celery")
    settings = load_settings()
    app = _create_celery_app(settings, queue)
    # Imported once here, before Celery forks the tasks' processes.
    import market_pipeline.orchestration.build
    import market_pipeline.orchestration.mart_assets  # noqa: F401

    celery_worker = app.Worker(
        # The name must be unique.
        hostname=f"{queue}-{os.getpid()}@{socket.gethostname()}",
        queues=[queue],
        concurrency=at_once,
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
    )
    stop_signals.remove_time_limit()  # Celery handles the signals, and finishes running tasks
    celery_worker.start()
    raise typer.Exit(celery_worker.exitcode or 0)


def _create_celery_app(settings: "Settings", queue: Literal["runs", "steps"]) -> "Celery":
    """Return the Celery app with dagster-celery's tasks.

    Raises:
        WorkersMissingError: Celery or dagster-celery isn't installed.
        NoBrokerError: CELERY_BROKER_URL is not set.
    """
    try:
        from market_pipeline.dagster_storage.celery_internals import create_execute_job_task, create_task
        from market_pipeline.orchestration.celery_app import make_celery_app
    except ModuleNotFoundError as error:
        raise WorkersMissingError(
            f"{error.name} is not installed: run `pip install 'market-pipeline[workers]'`"
        ) from None
    app = make_celery_app(settings, queue)
    if queue == "runs":
        create_execute_job_task(app)
    else:
        create_task(app)  # type: ignore[no-untyped-call]
    return app
