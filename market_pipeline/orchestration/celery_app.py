"""Celery app, shared by the launcher, the executor and the workers, and detection of lost tasks.

Tasks have two queues, `runs` and `steps`, and a worker serves one of them, so that a run waiting for its steps does not
take up the worker that they need. dagster-celery defines the tasks; workers.py submits them.
"""

from typing import Any, Literal

from celery import Celery
from celery.result import AsyncResult

from market_pipeline.core.errors import UsageError
from market_pipeline.core.settings import Settings
from market_pipeline.dagster_storage.celery_internals import make_app

Queue = Literal["runs", "steps"]

INSPECTIONS, RESPONSE_SECONDS = 3, 3.0
"""A worker is lost after this many inspections without a response, each with this timeout."""

CONNECT_SECONDS, SOCKET_SECONDS = 5.0, 10.0
"""Timeouts of Redis for connecting and for a response. Workers wait for tasks in calls of one second."""

WAITING, BEGUN = "PENDING", "STARTED"

_CONFIGURATION: dict[str, Any] = {
    # Celery stores a task's worker only if the start is tracked.
    "task_track_started": True,
    # A worker takes a task only when it can begin it, so that no task waits while another worker is idle.
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    # One process per task, as Dagster has without workers: the definitions are current, and no memory is kept.
    "worker_max_tasks_per_child": 1,
    # Tasks are acknowledged as they begin; this returns a task whose worker died between taking and beginning it.
    "broker_transport_options": {"visibility_timeout": 60},
    "broker_connection_retry_on_startup": True,
    "worker_redirect_stdouts": False,
    # Redis keeps a task's worker as long as a run may take: two days.
    "result_expires": 2 * 86_400,
}


class NoBrokerError(UsageError):
    """No Redis is set for the queues."""


def build_app_arguments(settings: Settings, queue: Queue) -> dict[str, Any]:
    """Return the arguments of dagster-celery's `make_app`. They hold the broker's password and stay in this process.

    Raises:
        NoBrokerError: CELERY_BROKER_URL is not set.
    """
    if settings.celery_broker_url is None:
        raise NoBrokerError(
            "CELERY_BROKER_URL is not set: set it to the Redis of the workers' queues, as redis://:password@host:6379/0"
        )
    url = settings.celery_broker_url.get_secret_value()
    configuration = {**_CONFIGURATION, **_build_connection_options(), "task_default_queue": queue}
    return {"broker": url, "backend": url, "include": [], "config_source": configuration}


def _build_connection_options() -> dict[str, Any]:
    """Return the time limits of connections to Redis: a machine that vanished would block the daemon for ever."""
    limits = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": SOCKET_SECONDS,
        "socket_keepalive": True,
    }
    broker = {**_CONFIGURATION["broker_transport_options"], **limits}
    return {"broker_transport_options": broker, **{f"redis_{name}": limit for name, limit in limits.items()}}


def make_celery_app(settings: Settings, queue: Queue) -> Celery:
    """Return the app for tasks of that queue.

    Raises:
        NoBrokerError: CELERY_BROKER_URL is not set.
    """
    return make_app(build_app_arguments(settings, queue))  # type: ignore[no-untyped-call]


def explain_loss(task: AsyncResult) -> str | None:
    """Return why a begun task will never end; None while it may. Takes 9 seconds if its worker is lost.

    The worker is queried for the task itself: a restarted worker responds too, without the task. If Redis has no record
    of the task's worker, all workers are queried.

    Raises:
        Exception: Redis can't be reached, which says nothing about the worker; an error of its client.
    """
    worker = None
    for _ in range(INSPECTIONS):
        meta = task.backend.get_task_meta(task.id)
        if meta["status"] not in (WAITING, BEGUN):
            return None
        worker = meta["result"]["hostname"] if meta["status"] == BEGUN else None
        inspection = task.app.control.inspect([worker] if worker else None, timeout=RESPONSE_SECONDS)
        responses = inspection.query_task(task.id) or {}
        if any(task.id in held for held in responses.values()):
            return None
    return f"The worker {worker} is gone" if worker else "No worker has it any more"
