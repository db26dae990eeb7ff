"""`market-pipeline up --sandbox`: everything is started, kept running, and gone at the end, whatever ended it."""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from dagster import DagsterRunStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test

from market_pipeline.answering import API, DAGSTER_UI, answers
from market_pipeline.orchestration.launch import open_instance
from market_pipeline.orchestration.reloading import ensure_loaded
from market_pipeline.settings import Settings
from market_pipeline.supervising import MARK
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.test_dagster_tools import free_port, until

AAPL, MSFT = Symbol.of("AAPL", "stock"), Symbol.of("MSFT", "stock")
SECONDS = 120
COMMAND = str(Path(sys.executable).with_name("market-pipeline"))


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of an embedded server of this test's own, which has AAPL tracked and isn't running."""
    folder = Path(tempfile.mkdtemp(prefix="market-pipeline-up-"))
    folder.chmod(0o755)
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(folder / "data"))
    known = Settings(_env_file=None, market_pipeline_data_dir=folder / "data")
    with warehouse_of(known) as warehouse:
        add_symbols(warehouse, [AAPL])
    embedded.stop(folder / "data")
    yield known
    embedded.destroy(folder / "data")
    shutil.rmtree(folder)


class Up:
    """The command as a child process, and what it says."""

    def __init__(self, api_port: int, ui_port: int) -> None:
        self.said: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [COMMAND, "up", "--sandbox", "--api-port", str(api_port), "--ui-port", str(ui_port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=CHECKOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put("")

    def until_it_says(self, words: str) -> str:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                line = ""
            self.said.append(line)
            if words in line:
                return line
            assert line or self.process.poll() is None, "\n".join(self.said)
            assert time.monotonic() < deadline, "\n".join(self.said)


def alive(mark: str) -> dict[int, str]:
    """The processes that carry a mark: their command lines by process id."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found


def mark(settings: Settings) -> str:
    return str(json.loads((settings.dagster_dir / "up" / "session.json").read_text())["mark"])


def refused(api_port: int, ui_port: int) -> str:
    done = subprocess.run(
        [COMMAND, "up", "--api-port", str(api_port), "--ui-port", str(ui_port)],
        capture_output=True, text=True, cwd=CHECKOUT, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


def test_everything_runs_comes_back_after_crashes_and_is_gone_at_the_end(
    settings: Settings,
) -> None:
    api_port, ui_port = free_port(), free_port()
    api, ui = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{ui_port}"
    first = Up(api_port, ui_port)
    second = None
    try:
        assert api in first.until_it_says("all is running")
        assert answers(ui, DAGSTER_UI)
        until(lambda: requests.get(f"{api}/health", timeout=10).json()["scheduler_running"], "the schedules")
        status = subprocess.run(
            [COMMAND, "status", "--json", "--api-url", api],
            env={**os.environ, "DAGSTER_WEBSERVER_URL": ui},
            capture_output=True, text=True, cwd=CHECKOUT, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert (status.returncode, json.loads(status.stdout)["problems"]) == (0, []), status.stdout
        assert "another `market-pipeline up` is running on" in refused(api_port, ui_port)

        with warehouse_of(settings) as warehouse:
            add_symbols(warehouse, [MSFT])
        ensure_loaded(settings.model_copy(update={"dagster_webserver_url": ui}), [MSFT])

        [webserver] = [pid for pid, command in alive(mark(settings)).items() if "dagster-webserver" in command]
        os.kill(webserver, signal.SIGKILL)
        assert "webserver | was killed by SIGKILL: it is started again in 1 s" in first.until_it_says("SIGKILL")
        until(lambda: answers(ui, DAGSTER_UI), "the webserver's return")

        before = mark(settings)
        session = json.loads((settings.dagster_dir / "up" / "session.json").read_text())
        server = json.dumps({"host": "127.0.0.1", "port": session["code_port"]})
        elsewhere = json.dumps({"host": "127.0.0.1", "port": 1})
        with open_instance(settings) as instance:
            ours, others = (
                create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags={GRPC_INFO_TAG: tag}).run_id
                for tag in (server, elsewhere)
            )
        first.process.kill()
        first.process.wait()
        assert len(alive(before)) >= 5, "the children of a killed supervisor are still there"

        second = Up(api_port, ui_port)
        assert "processes that an earlier `market-pipeline up` left behind" in second.until_it_says("ended ")
        assert not alive(before)
        second.until_it_says(f"run {ours} was interrupted")
        second.until_it_says("all is running")
        with open_instance(settings) as instance:
            statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert (statuses[ours], statuses[others]) == (DagsterRunStatus.FAILURE, DagsterRunStatus.STARTED)

        last = mark(settings)
        assert last != before
        second.process.send_signal(signal.SIGINT)
        second.until_it_says("everything has stopped")
        assert second.process.wait(SECONDS) == 0
        assert [line.split()[0] for line in second.said if line.endswith("| stopped")] == [
            "api", "daemon", "webserver", "code", "sandbox",
        ]  # fmt: skip
        assert not alive(last)
        # The embedded server ran already when the second began, and outlives it therefore.
        assert embedded.running(settings.market_pipeline_data_dir) is not None
    finally:
        for running in (first, second):
            if running is not None:
                running.process.kill()
                running.process.wait()
        for pid in alive(mark(settings)):
            os.kill(pid, signal.SIGKILL)
    assert not answers(api, API)
    for port in (api_port, ui_port):
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        for ports, option in (((port, free_port()), "--api-port"), ((free_port(), port), "--ui-port")):
            said = refused(*ports)
            assert said.startswith(f"error: can't listen on 127.0.0.1:{port}")
            assert f"choose another with {option}\n" in said
    assert not (tmp_path / "data" / "postgres").exists()
