"""The Celery app that those who hand out work and those who take it share, and whether a task is still being worked on.

Tasks are of two queues, `runs` and `steps`, and a worker serves one of them: a run that waits for its steps can't hold
the place that they need. What the tasks do is dagster-celery's; who hands them out, workers.py says.
"""

from typing import Any, Literal

from celery import Celery
from celery.result import AsyncResult

from market_pipeline.core.errors import UsageError
from market_pipeline.core.settings import Settings
from market_pipeline.dagster_storage.celery_internals import make_app

Queue = Literal["runs", "steps"]

TRIES, ANSWER_SECONDS = 3, 3.0
"""A worker is gone once it has left this many questions without an answer, for so long each."""

CONNECT_SECONDS, SOCKET_SECONDS = 5.0, 10.0
"""For Redis to take a connection and to answer. Workers wait for tasks a second at a time, and so within these."""

WAITING, BEGUN = "PENDING", "STARTED"

_CONFIGURATION: dict[str, Any] = {
    # Only a task that has begun tells who works on it.
    "task_track_started": True,
    # A worker takes a task when it can begin it, and never one that another worker could begin first.
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    # A process a task, as Dagster has without workers: no definitions of yesterday, and no memory kept.
    "worker_max_tasks_per_child": 1,
    # Tasks are acknowledged as they begin, so this is for one whose worker died in the instant between.
    "broker_transport_options": {"visibility_timeout": 60},
    "broker_connection_retry_on_startup": True,
    "worker_redirect_stdouts": False,
    # Who works on a run must be known for as long as it may take.
    "result_expires": 2 * 86_400,
}


class NoBrokerError(UsageError):
    """There is no Redis to hand out work by."""


def app_arguments(settings: Settings, queue: Queue) -> dict[str, Any]:
    """What dagster-celery makes its Celery app of. It holds the broker's password: it is for this process alone.

    Raises:
        NoBrokerError: CELERY_BROKER_URL is not set.
    """
    if settings.celery_broker_url is None:
        raise NoBrokerError(
            "CELERY_BROKER_URL is not set: give the Redis that hands out work, as redis://:password@host:6379/0"
        )
    url = settings.celery_broker_url.get_secret_value()
    configuration = {**_CONFIGURATION, **_timeouts(), "task_default_queue": queue}
    return {"broker": url, "backend": url, "include": [], "config_source": configuration}


def _timeouts() -> dict[str, Any]:
    """Time limits of the connections to Redis: a machine that is gone without a word would hold the daemon for ever."""
    limits = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": SOCKET_SECONDS,
        "socket_keepalive": True,
    }
    broker = {**_CONFIGURATION["broker_transport_options"], **limits}
    return {"broker_transport_options": broker, **{f"redis_{name}": limit for name, limit in limits.items()}}


def celery_app(settings: Settings, queue: Queue) -> Celery:
    """The app, for tasks of that queue.

    Raises:
        NoBrokerError: CELERY_BROKER_URL is not set.
    """
    return make_app(app_arguments(settings, queue))  # type: ignore[no-untyped-call]


def lost(task: AsyncResult) -> str | None:
    """Why a task that was begun will never end; None where it may still. Takes 9 seconds where its worker is gone.

    Asks the worker itself whether it holds the task: an answer alone isn't enough, as a worker that was restarted
    answers too. A task of which Redis has forgotten who began it is asked after everywhere.

    Raises:
        Exception: Redis can't be reached, which says nothing about the worker; of its client's types.
    """
    worker = None
    for _ in range(TRIES):
        known = task.backend.get_task_meta(task.id)
        if known["status"] not in (WAITING, BEGUN):
            return None
        worker = known["result"]["hostname"] if known["status"] == BEGUN else None
        asked = task.app.control.inspect([worker] if worker else None, timeout=ANSWER_SECONDS)
        answers = asked.query_task(task.id) or {}
        if any(task.id in held for held in answers.values()):
            return None
    return f"The worker {worker} is gone" if worker else "No worker knows of it any more"
