"""Processes that tests wait for."""

import time
from collections.abc import Iterable
from contextlib import suppress

import psutil


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
