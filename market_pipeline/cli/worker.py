"""`market-pipeline worker`: takes runs or steps that are handed out by Redis and executes them, in the foreground."""

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
    """What workers need isn't installed."""


class NoHomeError(UsageError):
    """Dagster's instance isn't named."""


def worker(
    queue: Annotated[
        Literal["runs", "steps"], typer.Option(help="What to take; steps where STEPS_ON_WORKERS.")
    ] = "runs",
    at_once: Annotated[int, typer.Option(min=1, help="How many to execute at once, each in a process.")] = 4,
) -> None:
    """Execute what the Redis of CELERY_BROKER_URL hands out, until Ctrl-C or SIGTERM; what runs then is finished.

    Needs the same database, settings and code as the other processes, and DAGSTER_HOME=deploy/celery.
    """
    if not Path(os.environ.get("DAGSTER_HOME", "")).is_absolute():
        raise NoHomeError("DAGSTER_HOME is not set: give it the full path of the checkout's folder deploy/celery")
    settings = load_settings()
    app = _app(settings, queue)
    # What every task's process would load is loaded once, before they are forked.
    import market_pipeline.orchestration.build
    import market_pipeline.orchestration.mart_assets  # noqa: F401

    started = app.Worker(
        # No other worker may answer to its name.
        hostname=f"{queue}-{os.getpid()}@{socket.gethostname()}",
        queues=[queue],
        concurrency=at_once,
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
    )
    stop_signals.leave_to_command()  # Celery forks, and lets what runs end
    started.start()
    raise typer.Exit(started.exitcode or 0)


def _app(settings: "Settings", queue: Literal["runs", "steps"]) -> "Celery":
    """The Celery app with dagster-celery's tasks.

    Raises:
        WorkersMissingError: Celery or dagster-celery isn't installed.
        NoBrokerError: CELERY_BROKER_URL is not set.
    """
    try:
        from market_pipeline.dagster_storage.celery_internals import create_execute_job_task, create_task
        from market_pipeline.orchestration.celery_app import celery_app
    except ModuleNotFoundError as error:
        raise WorkersMissingError(
            f"{error.name} is not installed: run `pip install 'market-pipeline[workers]'`"
        ) from None
    app = celery_app(settings, queue)
    if queue == "runs":
        create_execute_job_task(app)
    else:
        create_task(app)  # type: ignore[no-untyped-call]
    return app
