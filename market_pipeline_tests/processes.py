"""Waiting for processes and for what they bring about."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import psutil


def until(condition: Callable[[], Any], what: str, seconds: float = 300) -> Any:
    """Wait until the condition holds, and return its value; `what` is named in the error after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} took more than {seconds} s"
        time.sleep(0.1)
    return found


def wait_for_ends(processes: Iterable[psutil.Process], seconds: float = 60) -> None:
    """Wait until these processes have ended.

    PID 1, which inherits a process whose parent has ended, may take a minute to reap it: `psutil.wait_procs` would wait
    for that too.
    """
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if not _has_ended(process)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


def _has_ended(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True
