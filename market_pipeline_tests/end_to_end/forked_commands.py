"""Commands in processes that are forked from one that has imported the project: importing takes 2 s of each.

A command has an environment, a folder, streams and an exit code of its own. Tests of starting run the installed program
instead, and tests that follow a document run each program at least once as it is installed.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory

from market_pipeline.cli import backfill, commands, runs, symbols
from market_pipeline.cli.main import main
from market_pipeline.orchestration import build, run_launch

IMPORTED = [module.__name__ for module in (backfill, commands, runs, symbols, build, run_launch)]
"""Modules that most commands import sooner or later; they have no side effects."""

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(IMPORTED)
_STATES = threading.Lock()
"""Held while processes start or their exit codes are read: multiprocessing reads those of all at each start."""


class ForkedCommand:
    """`market-pipeline`, or a Python script, under way with some arguments. Any thread may start it and wait for it.

    Its output goes to two files, which may be named pipes.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        out: Path,
        err: Path,
        script: str | None = None,
    ) -> None:
        self._process = FORKING.Process(target=_run, args=(script, list(arguments), dict(env), cwd, out, err))
        self._name = f"{script or 'market-pipeline'} {' '.join(arguments)}"
        with _STATES:
            self._process.start()

    def poll(self) -> int | None:
        """Return the exit code, minus the number of the signal that ended it, or None while it runs."""
        with _STATES:
            return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            assert self._process.pid is not None
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended, and wait for its end."""
        self.send_signal(signal.SIGKILL)
        with _STATES:
            self._process.join()

    def wait(self, seconds: float) -> int:
        """Wait for its end, and return what `poll` does.

        Raises:
            subprocess.TimeoutExpired: it takes longer than that.
        """
        wait([self._process.sentinel], seconds)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._name, seconds)
        return code


def run_forked(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path, seconds: float, *, script: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `market-pipeline`, or a Python script, with these arguments to its end.

    Raises:
        subprocess.TimeoutExpired: it takes longer than `seconds`.
    """
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        command = ForkedCommand(arguments, env, cwd, out=out, err=err, script=script)
        try:
            code = command.wait(seconds)
        finally:
            command.kill()
        output = (file.read_text(encoding="utf-8") if file.exists() else "" for file in (out, err))
        return subprocess.CompletedProcess(arguments, code, *output)


def _run(script: str | None, arguments: list[str], env: dict[str, str], cwd: Path, out: Path, err: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    os.setsid()
    for number, name, file in ((1, "stdout", out), (2, "stderr", err)):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
        # Those of the process that was forked take their file for what it was there.
        setattr(sys, name, open(number, "w", buffering=1, encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.argv = [script or "market-pipeline", *arguments]
    if script:
        runpy.run_path(script, run_name="__main__")
    else:
        main(arguments)
