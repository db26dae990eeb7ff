"""`market-pipeline up` as a child process, for its tests."""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from market_pipeline.operations.supervisor import MARK
from market_pipeline_tests.end_to_end.conftest import CHECKOUT

COMMAND = str(Path(sys.executable).with_name("market-pipeline"))
SECONDS = 300


class Up:
    """The command's process, and its output."""

    def __init__(self, *arguments: str, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None) -> None:
        self.output: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [COMMAND, "up", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env=env,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put("")

    def until_printed(self, words: str) -> str:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                line = ""
            self.output.append(line)
            if words in line:
                return line
            assert line or self.process.poll() is None, "\n".join(self.output)
            assert time.monotonic() < deadline, "\n".join(self.output)

    def kill(self) -> None:
        """Kill the command only, as `kill -9` does."""
        self.process.kill()
        self.process.wait()


def started_by(mark: str) -> dict[int, list[str]]:
    """Return the command lines of the processes with the mark of an `up`, by process id."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found[process.pid] = process.cmdline()
        except psutil.Error:
            continue
    return found


def end_all(mark: str) -> None:
    """Kill the processes that an `up` has left behind."""
    for pid in started_by(mark):
        os.kill(pid, 9)
