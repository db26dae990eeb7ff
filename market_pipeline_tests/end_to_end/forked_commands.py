"""Commands in processes that are forked from one that has imported the project: importing takes 2 s of each.

A command has an environment, a folder, streams and an exit code of its own. Tests of starting and of signals, and tests
that follow the documents, run the installed program instead.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from market_pipeline.cli import backfill, commands, runs, symbols
from market_pipeline.cli.main import main
from market_pipeline.orchestration import build, run_launch

IMPORTED = [module.__name__ for module in (backfill, commands, runs, symbols, build, run_launch)]
"""Modules that most commands import sooner or later; they have no side effects."""

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(IMPORTED)


def run_forked(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `market-pipeline` with these arguments to its end.

    Raises:
        AssertionError: it takes longer than `seconds`.
    """
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _FORKING.Process(target=_command, args=(list(arguments), dict(env), cwd, out, err))
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(f"market-pipeline {' '.join(arguments)} took more than {seconds} s")
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            arguments,
            process.exitcode,
            *(file.read_text(encoding="utf-8") if file.exists() else "" for file in (out, err)),
        )


def _command(arguments: list[str], env: dict[str, str], cwd: Path, out: Path, err: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    os.setsid()
    for number, file in ((1, out), (2, err)):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["market-pipeline", *arguments]
    main(arguments)
