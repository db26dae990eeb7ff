"""Keeping several programs running beside each other: started in order, restarted when they crash, stopped in reverse.

Each child is a session of its own, so that Ctrl-C reaches only the supervisor and a signal reaches a child's own
children too. What the programs are is the caller's business.
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

import psutil  # type: ignore[import-untyped]

from market_pipeline.core.child_processes import guarded
from market_pipeline.core.errors import MarketPipelineError

READY_SECONDS = 180.0
"""How long a child may take until it answers: the first start after an installation compiles everything."""
POLL_SECONDS = 0.2
GRACE: Sequence[tuple[signal.Signals, float]] = ((signal.SIGINT, 15.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
"""What a child is asked to end with, and how long it is given each time."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Before a crashed child is started again: doubled each time, until it has once run for the longest."""
MARK = "MARKET_PIPELINE_SUPERVISED_BY"
"""The variable by which children, and theirs, are known when the supervisor is gone."""

_END_LEFTOVERS = f"import sys; from {__name__} import end_leftovers; end_leftovers(sys.argv[1])"

Say = Callable[[str, str], None]
"""Told the name of a child and a line of what it wrote, or of what happened to it."""


class ChildError(MarketPipelineError):
    """A program didn't start."""


@dataclass(frozen=True)
class Child:
    """A program: how it is started, with which environment, how to see that it answers, what to do after a crash."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    answers: Callable[[], bool]
    after_crash: Callable[[], None] = lambda: None


@dataclass
class _Running:
    """A child's process, since when, and how often in a row it crashed. `due` is when it is started again."""

    child: Child
    process: subprocess.Popen[str]
    reader: threading.Thread
    since: float = field(default_factory=time.monotonic)
    pause: float = FIRST_PAUSE
    due: float | None = None


class Supervisor:
    """Starts children, keeps them running and stops them. Used from one thread.

    Args:
        mark: tells its children from those of others, in the variable MARK.
        say: told what the children write and what happens to them, from several threads.
        stopping: set when all is to end; whatever waits then ends its wait.
    """

    def __init__(self, mark: str, say: Say, stopping: threading.Event) -> None:
        self._mark = mark
        self._say = say
        self._stopping = stopping
        self._running: list[_Running] = []
        self._guard = ExitStack()

    def start(self, child: Child) -> None:
        """Start a child and wait until it answers, or until all is to stop.

        Raises:
            ChildError: it ended before it answered, or doesn't answer in time.
        """
        if not self._running:
            # If this process is killed, what it has started ends at once, and not at the next start.
            self._guard.enter_context(guarded(sys.executable, "-c", _END_LEFTOVERS, self._mark))
        self._running.append(running := self._started(child))
        deadline = time.monotonic() + READY_SECONDS
        while not self._stopping.is_set():
            if running.process.poll() is not None:
                running.reader.join(1)
                raise ChildError(
                    f"{child.name} {_how(running.process.returncode)} at its start: see what it says above"
                )
            if child.answers():
                return
            if time.monotonic() > deadline:
                raise ChildError(f"{child.name} does not answer after {READY_SECONDS:.0f} s: see what it says above")
            self._stopping.wait(POLL_SECONDS)

    def watch(self, also: Callable[[], None] = lambda: None) -> None:
        """Start again what crashes, until all is to stop; `also` is called at each look."""
        while not self._stopping.wait(POLL_SECONDS):
            also()
            for number, running in enumerate(self._running):
                if running.due is None and running.process.poll() is not None:
                    self._plan_restart(running)
                elif running.due is not None and time.monotonic() >= running.due:
                    self._running[number] = self._started(running.child, min(2 * running.pause, LONGEST_PAUSE))

    def stop(self) -> None:
        """End all children, last started first, and whatever they started."""
        for running in reversed(self._running):
            if running.due is None:
                self._end(running)
            self._say(running.child.name, "stopped")
        self._running.clear()
        end_leftovers(self._mark)
        self._guard.close()

    def _started(self, child: Child, pause: float = FIRST_PAUSE) -> _Running:
        process = subprocess.Popen(  # noqa: S603, the caller's own programs
            child.command,
            env={**child.environment, MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        reader = threading.Thread(target=self._read, args=(child.name, process.stdout), daemon=True)
        reader.start()
        return _Running(child, process, reader, pause=pause)

    def _read(self, name: str, stream: IO[str]) -> None:
        for line in stream:
            # Once all is to stop, children only print the tracebacks of their interrupted work.
            if not self._stopping.is_set():
                self._say(name, line.rstrip())

    def _plan_restart(self, running: _Running) -> None:
        _signal_group(running.process.pid, signal.SIGKILL)  # what it started is nobody's now
        running.child.after_crash()
        if time.monotonic() - running.since > LONGEST_PAUSE:
            running.pause = FIRST_PAUSE
        running.due = time.monotonic() + running.pause
        self._say(
            running.child.name, f"{_how(running.process.returncode)}: it is started again in {running.pause:.0f} s"
        )

    def _end(self, running: _Running) -> None:
        for number, seconds in GRACE:
            if not _signal_group(running.process.pid, number):
                break
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(seconds)
                _wait_for_group(running.process.pid, seconds)
        running.process.wait()
        running.reader.join(1)


def end_leftovers(mark: str) -> int:
    """End what the children of a supervisor have left behind, at once; how many processes that were."""
    left = list(_marked(mark))
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=GRACE[-1][1])
    return len(left)


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone by now
            if process.environ().get(MARK) == mark:
                yield process


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anybody left in the group to be told."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _wait_for_group(group: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _signal_group(group, 0) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
