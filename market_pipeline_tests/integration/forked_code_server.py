"""Dagster's code server, forked from a process that has imported the project, as are the processes of its runs.

Started as Dagster starts them, each would import the project, which takes 3 s. Tests of starting run the programs.
"""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from market_pipeline_tests.dagster_internals import cli
from market_pipeline_tests.end_to_end.forked_commands import FORKING


class ForkedCodeServer:
    """The child process of `dagster api grpc`, with those parts of `subprocess.Popen` that Dagster uses."""

    def __init__(self, words: Sequence[str], *, cwd: str | None, env: Mapping[str, str]) -> None:
        arguments = list(words[words.index("api") :])
        self._process = FORKING.Process(target=_call, args=(dict(env), cwd or str(Path.cwd()), _serve, (arguments,)))
        self._process.start()

    @property
    def pid(self) -> int | None:
        """The id of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, or None as long as it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end, or for so many seconds, and return its exit code."""
        self._process.join(timeout)
        return self.returncode

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._process.terminate()


def _call(env: dict[str, str], cwd: str, function: Callable[..., None], arguments: Sequence[Any]) -> None:
    """Call a function in this environment and folder."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    function(*arguments)


def _serve(arguments: list[str]) -> None:
    # Runs are forked from the same process as this one, so no other is to be started for them.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign] # noqa: SLF001
    context = SimpleNamespace(Queue=FORKING.Queue, Event=FORKING.Event, Process=_process_of_run)
    multiprocessing.get_context = lambda _method=None: context  # type: ignore[assignment]
    cli(arguments)


def _process_of_run(*, target: Callable[..., None], args: Sequence[Any]) -> ForkServerProcess:
    return FORKING.Process(target=_call, args=(dict(os.environ), str(Path.cwd()), target, args))
