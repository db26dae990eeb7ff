"""Services of the supervisor: started, restarted and stopped, with small programs in place of the real ones."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from market_pipeline.operations import supervisor
from market_pipeline.operations.supervisor import MARK, Service, ServiceError, Supervisor, end_leftovers
from market_pipeline_tests.processes import until

SECONDS = 30
READY = "open('ready', 'a').write('x')"
SLEEPS = f"import time; {READY}; print('up', flush=True); time.sleep(600)"
IGNORES = f"import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; {SLEEPS}"
HAS_CHILDREN = (
    "import subprocess, sys; "
    "[subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=own) "
    f"for own in (True, False)]; {SLEEPS}"
)


@dataclass
class Stage:
    """A supervisor with the folder of its services and all lines that it wrote."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid4().hex)
    stopping: threading.Event = field(default_factory=threading.Event)
    output: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.mark, lambda name, line: self.output.append((name, line)), self.stopping)

    def service(self, name: str, program: str, after_crash: Callable[[], None] = lambda: None) -> Service:
        """Return a service that is ready once it has created a file in a folder of its own."""
        folder = self.folder / name
        folder.mkdir()
        command = [sys.executable, "-c", f"import os; os.chdir({str(folder)!r}); {program}"]
        return Service(name, command, dict(os.environ), (folder / "ready").exists, after_crash)

    def starts(self, name: str) -> int:
        """Return the number of times that a service has started."""
        return len((self.folder / name / "ready").read_text())

    def alive(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    end_leftovers(made.mark)


def test_services_are_stopped_in_reverse_and_their_output_has_their_names(stage: Stage) -> None:
    for name in ("one", "two"):
        stage.supervisor.start(stage.service(name, SLEEPS))
    stage.supervisor.stop()
    assert not stage.alive()
    assert [output for output in stage.output if output[1] in ("up", "stopped")] == [
        ("one", "up"), ("two", "up"), ("two", "stopped"), ("one", "stopped"),
    ]  # fmt: skip


def test_a_service_that_ignores_signals_and_child_processes_of_any_session_are_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        supervisor, "STOP_SIGNALS", [(number, min(seconds, 0.5)) for number, seconds in supervisor.STOP_SIGNALS]
    )
    stage.supervisor.start(stage.service("deaf", IGNORES))
    stage.supervisor.start(stage.service("parent", HAS_CHILDREN))
    assert len(stage.alive()) == 4
    stage.supervisor.stop()
    assert not stage.alive()


def test_a_service_that_ends_before_it_is_ready_is_an_error_and_its_output_is_shown(stage: Stage) -> None:
    with pytest.raises(ServiceError, match="broken ended with exit code 3 at its start"):
        stage.supervisor.start(stage.service("broken", "print('no database'); raise SystemExit(3)"))
    assert ("broken", "no database") in stage.output
    stage.supervisor.stop()


def test_a_service_that_keeps_crashing_is_restarted_after_ever_longer_pauses(stage: Stage) -> None:
    crashes: list[int] = []
    crasher = stage.service(
        "weak", f"{READY}; import time; time.sleep(1); raise SystemExit(1)", lambda: crashes.append(1)
    )
    stage.supervisor.start(stage.service("steady", SLEEPS))
    stage.supervisor.start(crasher)
    watching = threading.Thread(target=stage.supervisor.watch)
    watching.start()
    until(lambda: stage.starts("weak") >= 3, "the third start")
    stage.stopping.set()
    watching.join(SECONDS)
    stage.supervisor.stop()
    assert len(crashes) >= 2
    assert stage.starts("steady") == 1
    pauses = [line.split()[-2] for name, line in stage.output if name == "weak" and "started again" in line]
    assert pauses[:2] == ["1", "2"]
    assert not stage.alive()


def test_leftovers_of_a_killed_supervisor_are_found_by_its_mark(stage: Stage) -> None:
    stage.supervisor.start(stage.service("orphan", HAS_CHILDREN))
    assert end_leftovers(uuid4().hex) == 0
    assert len(stage.alive()) == 3
    assert end_leftovers(stage.mark) == 3
    assert not stage.alive()
