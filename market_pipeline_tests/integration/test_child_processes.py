"""Child processes: they end with the process that started them, however it ends, and complete otherwise."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from market_pipeline.core.child_processes import run_child, run_if_killed
from market_pipeline_tests.processes import wait_for_ends

PARENT = """
import sys
from market_pipeline.core.child_processes import run_if_killed, run_child
with run_if_killed("touch", sys.argv[2]):
    run_child([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"])
"""


def test_a_killed_process_ends_its_child_and_its_guard_acts(tmp_path: Path) -> None:
    mark = tmp_path / "guard-has-acted"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, "", str(mark)], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        guards = [process for process in psutil.Process(parent.pid).children() if process.pid != child.pid]
        assert len(guards) == 2
        os.killpg(parent.pid, signal.SIGKILL)  # and what ends the parent's group doesn't reach the guards
    wait_for_ends([child, *guards])
    assert mark.exists()


def test_a_process_that_ends_normally_leaves_nothing_behind(tmp_path: Path) -> None:
    mark = tmp_path / "guard-has-acted"
    before = psutil.Process().children()
    with run_if_killed("touch", str(mark)):
        done = run_child([sys.executable, "-c", "print(1); raise SystemExit(3)"], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (3, b"1\n")
    with pytest.raises(FileNotFoundError), run_if_killed("touch", str(mark)):
        run_child([tmp_path / "no-such-program"])
    assert psutil.Process().children() == before
    assert not mark.exists()
