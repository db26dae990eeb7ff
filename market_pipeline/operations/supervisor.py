"""Supervisor of services: starts them in order, restarts those that crash, and stops them in reverse order.

Each service is a session of its own, so that Ctrl-C reaches only the supervisor, and a signal to a service reaches its
child processes too.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import IO

import psutil

from market_pipeline.core.child_processes import run_if_killed
from market_pipeline.core.errors import MarketPipelineError

READY_SECONDS = 180.0
"""Seconds within which a service must be ready: the first start after an installation compiles every module."""
POLL_SECONDS = 0.2
STOP_SIGNALS: Sequence[tuple[signal.Signals, float]] = (
    (signal.SIGINT, 15.0),
    (signal.SIGTERM, 10.0),
    (signal.SIGKILL, 10.0),
)
"""Signals that stop a service, in this order, with the seconds to wait after each."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a crashed service is restarted: doubled each time, until it has run for LONGEST_PAUSE."""
MARK = "MARKET_PIPELINE_SUPERVISED_BY"
"""Environment variable that identifies a supervisor's processes, also after the supervisor has been killed."""

_END_LEFTOVERS = f"import sys; from {__name__} import end_leftovers; end_leftovers(sys.argv[1])"

WriteLine = Callable[[str, str], None]
"""Takes the name of a service and a line: of its output, or about what happened to it."""


class ServiceError(MarketPipelineError):
    """A service didn't start."""


@dataclass(frozen=True)
class Service:
    """A service: its command and environment, a function that returns True once it is ready, and one for crashes."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    after_crash: Callable[[], None] = lambda: None


@dataclass
class _Running:
    """Process of a service, started at `since`; `due` is the time of its restart, and `pause` the seconds before it."""

    service: Service
    process: subprocess.Popen[str]
    reader: threading.Thread
    since: float = field(default_factory=time.monotonic)
    pause: float = FIRST_PAUSE
    due: float | None = None


class Supervisor:
    """Starts services, keeps them running and stops them. Used from one thread.

    Args:
        mark: value of the variable MARK in the environment of the services.
        write: called with the services' output and with what happens to them, from several threads.
        stopping: set when everything is to stop; it ends all waits.
    """

    def __init__(self, mark: str, write: WriteLine, stopping: threading.Event) -> None:
        self._mark = mark
        self._write = write
        self._stopping = stopping
        self._running: list[_Running] = []
        self._guard = ExitStack()

    def start(self, service: Service) -> None:
        """Start a service and wait until it is ready, or until everything is to stop.

        Raises:
            ServiceError: it ended before it was ready, or isn't ready in time.
        """
        if not self._running:
            # If this process is killed, its services end at once instead of at the next start.
            self._guard.enter_context(run_if_killed(sys.executable, "-c", _END_LEFTOVERS, self._mark))
        self._running.append(running := self._spawn(service))
        deadline = time.monotonic() + READY_SECONDS
        while not self._stopping.is_set():
            if running.process.poll() is not None:
                running.reader.join(1)
                raise ServiceError(
                    f"{service.name} {_describe_exit(running.process.returncode)} at its start: see its output above"
                )
            if service.is_ready():
                return
            if time.monotonic() > deadline:
                raise ServiceError(f"{service.name} is not ready after {READY_SECONDS:.0f} s: see its output above")
            self._stopping.wait(POLL_SECONDS)

    def watch(self, also: Callable[[], None] = lambda: None) -> None:
        """Restart services that crash, until everything is to stop; `also` is called in each round."""
        while not self._stopping.wait(POLL_SECONDS):
            also()
            for number, running in enumerate(self._running):
                if running.due is None and running.process.poll() is not None:
                    self._plan_restart(running)
                elif running.due is not None and time.monotonic() >= running.due:
                    self._running[number] = self._spawn(running.service, min(2 * running.pause, LONGEST_PAUSE))

    def stop(self) -> None:
        """Stop all services, the last one first, and end all of their child processes."""
        for running in reversed(self._running):
            if running.due is None:
                self._end(running)
            self._write(running.service.name, "stopped")
        self._running.clear()
        end_leftovers(self._mark)
        self._guard.close()

    def _spawn(self, service: Service, pause: float = FIRST_PAUSE) -> _Running:
        process = subprocess.Popen(  # noqa: S603, the caller's own programs
            service.command,
            env={**service.environment, MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        reader = threading.Thread(target=self._read, args=(service.name, process.stdout), daemon=True)
        reader.start()
        return _Running(service, process, reader, pause=pause)

    def _read(self, name: str, stream: IO[str]) -> None:
        for line in stream:
            # Once everything stops, services only print the tracebacks of their interrupted work.
            if not self._stopping.is_set():
                self._write(name, line.rstrip())

    def _plan_restart(self, running: _Running) -> None:
        _signal_group(running.process.pid, signal.SIGKILL)  # nothing waits for its child processes any more
        running.service.after_crash()
        if time.monotonic() - running.since > LONGEST_PAUSE:
            running.pause = FIRST_PAUSE
        running.due = time.monotonic() + running.pause
        self._write(
            running.service.name,
            f"{_describe_exit(running.process.returncode)}: it is started again in {running.pause:.0f} s",
        )

    def _end(self, running: _Running) -> None:
        for number, seconds in STOP_SIGNALS:
            if not _signal_group(running.process.pid, number):
                break
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(seconds)
                _wait_for_group(running.process.pid, seconds)
        running.process.wait()
        running.reader.join(1)


def end_leftovers(mark: str) -> int:
    """Kill the processes that a supervisor's services have left behind, and return their number."""
    left = list(_find_marked(mark))
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_SIGNALS[-1][1])
    return len(left)


def _find_marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone by now
            if process.environ().get(MARK) == mark:
                yield process


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False if the group has no process."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _wait_for_group(group: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _signal_group(group, 0) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _describe_exit(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
