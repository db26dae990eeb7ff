"""`market-pipeline up --sandbox`: starts everything, keeps it running, and leaves no process behind."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from dagster import DagsterRunStatus
from sqlalchemy import Engine, func, select

from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import find_free_port
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import GRPC_INFO_TAG
from market_pipeline.operations.service_probes import API, DAGSTER_UI, is_listening
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.cluster_folders import make_cluster_folder
from market_pipeline_tests.conftest import keep_manifest
from market_pipeline_tests.dagster_internals import create_run_for_test
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.forked_commands import run_forked
from market_pipeline_tests.end_to_end.running_up import SECONDS, Up, end_all, started_by
from market_pipeline_tests.end_to_end.test_dagster_tools import REPOSITORY
from market_pipeline_tests.processes import until

AAPL, MSFT = Symbol.of("AAPL", "stock"), Symbol.of("MSFT", "stock")
NIGHT = 260
"""The sessions that a night fetches of a symbol that was never loaded."""

TICK = """
mutation ($selector: ScheduleSelector!, $timestamp: Float!) {
  scheduleDryRun(selectorData: $selector, timestamp: $timestamp) {
    ... on DryRunInstigationTick { evaluationResult {
      runRequests { assetSelection { path } tags { key value } } error { message }
    } }
  }
}
"""
NIGHTLY = {
    "selector": {**REPOSITORY, "scheduleName": "nightly_equities"},
    "timestamp": datetime(2012, 7, 10, 2, tzinfo=UTC).timestamp(),
}
ASSETS = "query ($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { id } }"
LAUNCH_RUN = """
mutation ($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) { ... on LaunchRunSuccess { run { runId } } }
}
"""


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, parsed_project: Path) -> Iterator[Settings]:
    """Settings of a stopped embedded server of this test's own, with AAPL tracked."""
    folder = make_cluster_folder("up")
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(folder / "data"))
    known = Settings(_env_file=None, market_pipeline_data_dir=folder / "data")
    with warehouse_of(known) as warehouse:
        add_symbols(warehouse, [AAPL])
    keep_manifest(known, parsed_project)
    embedded.stop(folder / "data")
    yield known
    embedded.destroy(folder / "data")
    shutil.rmtree(folder)


def mark(settings: Settings) -> str:
    return str(json.loads((settings.dagster_dir / "up" / "session.json").read_text())["mark"])


def rejected(api_port: int, ui_port: int) -> str:
    done = run_forked(("up", "--api-port", str(api_port), "--ui-port", str(ui_port)), os.environ, CHECKOUT, SECONDS)
    assert done.returncode == 1
    return done.stderr


def query_graphql(ui: str, query: str, **variables: Any) -> Any:
    response = requests.post(f"{ui}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
    assert "errors" not in response, response
    return response["data"]


def reachable_code_server(ui: str) -> bool:
    """Return True once the webserver reaches the code server: it shows assets from memory, but evaluates nothing."""
    response = requests.post(f"{ui}/graphql", json={"query": TICK, "variables": NIGHTLY}, timeout=60).text
    return "Could not reach user code server" not in response and "RepositoryLocationNotFound" not in response


def night(ui: str) -> list[str]:
    """Launch the runs of the night of 10 July 2012, as the daemon does, and return their ids."""
    tick = query_graphql(ui, TICK, **NIGHTLY)["scheduleDryRun"]["evaluationResult"]
    assert tick["error"] is None, tick["error"]
    launched = []
    for expected in tick["runRequests"]:
        job = {**REPOSITORY, "jobName": "nightly_equities_job", "assetSelection": expected["assetSelection"]}
        params = {"selector": job, "executionMetadata": {"tags": expected["tags"]}}
        launched.append(query_graphql(ui, LAUNCH_RUN, params=params)["launchPipelineExecution"]["run"]["runId"])
    return launched


def bars(warehouse: Engine) -> dict[str, int]:
    query = select(market_data.c.symbol, func.count()).group_by(market_data.c.symbol)
    with warehouse.connect() as connection:
        return dict(connection.execute(query).all())


@pytest.mark.timeout(600)
def test_everything_runs_restarts_after_crashes_fills_gaps_and_is_gone_at_the_end(
    settings: Settings,
) -> None:
    api_port, ui_port = find_free_port(), find_free_port()
    api, ui = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{ui_port}"
    arguments = ("--sandbox", "--api-port", str(api_port), "--ui-port", str(ui_port))
    # A run of two symbols waits for a minute between their bars, and is killed there: five requests are for their
    # ticker histories, their splits, their dividends and the first one's bars.
    first = Up(*arguments, env={**os.environ, "POLYGON_REQUESTS_PER_MINUTE": "5"})
    second = None
    try:
        assert api in first.until_printed("all is running")
        assert is_listening(ui, DAGSTER_UI)
        until(lambda: requests.get(f"{api}/health", timeout=10).json()["scheduler_running"], "the schedules")
        status = run_forked(("status", "--json"), os.environ, CHECKOUT, SECONDS)
        result = json.loads(status.stdout)
        assert (status.returncode, result["problems"]) == (0, []), status.stdout
        assert (result["api"]["url"], result["dagster_ui"]["url"]) == (api, ui), "where `up` has them"
        assert "another `market-pipeline up` is running on" in rejected(api_port, ui_port)

        added = ("symbols", "add", "MSFT", "--asset-class", "stock", "--no-check")
        assert run_forked(added, os.environ, CHECKOUT, SECONDS).returncode == 0
        key = [{"path": build_asset_key(MSFT).path}]
        until(lambda: query_graphql(ui, ASSETS, keys=key)["assetNodes"], "the new symbol's asset")

        [webserver] = [pid for pid, words in started_by(mark(settings)).items() if "dagster-webserver" in str(words)]
        os.kill(webserver, signal.SIGKILL)
        assert "webserver | was killed by SIGKILL: it is started again in 1 s" in first.until_printed("SIGKILL")
        until(lambda: is_listening(ui, DAGSTER_UI), "the webserver's return")

        for name, words in {"code": "code-server", "daemon": "dagster-daemon", "api": " api --host"}.items():
            [killed, *_] = [pid for pid, line in started_by(mark(settings)).items() if words in " ".join(line)]
            os.kill(killed, signal.SIGKILL)
            first.until_printed(f"{name:<9} | was killed by SIGKILL: it is started again in 1 s")
        server = embedded.find_running_server(settings.market_pipeline_data_dir)
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        first.until_printed("up        | the embedded PostgreSQL had ended; it runs again")
        until(lambda: is_listening(api, API), "the return of the API")
        until(lambda: requests.get(f"{api}/health", timeout=10).json()["scheduler_running"], "the return of everything")
        until(lambda: reachable_code_server(ui), "the code server's return")
        assert query_graphql(ui, ASSETS, keys=key)["assetNodes"]

        before = mark(settings)
        elsewhere = json.dumps({"host": "127.0.0.1", "port": 1})
        with open_instance(settings) as instance:
            others = create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags={GRPC_INFO_TAG: elsewhere})
        [nightly] = night(ui)
        with warehouse_of(settings) as warehouse:
            until(lambda: bars(warehouse) == {"AAPL": NIGHT}, "the first symbol of the night")
        first.kill()
        until(lambda: not started_by(before), "the end of what a killed supervisor had started")

        second = Up(*arguments)
        second.until_printed(f"run {nightly} was interrupted")
        second.until_printed("all is running")
        with open_instance(settings) as instance, warehouse_of(settings) as warehouse:
            statuses = {run.run_id: run.status for run in instance.get_runs()}
            assert (statuses[nightly], statuses[others.run_id]) == (DagsterRunStatus.FAILURE, DagsterRunStatus.STARTED)
            assert bars(warehouse) == {"AAPL": NIGHT}

            second_night = night(ui)
            until(lambda: {instance.get_run_by_id(run).is_finished for run in second_night} == {True}, "the next night")  # type: ignore[union-attr]
            assert {instance.get_run_by_id(run).status for run in second_night} == {DagsterRunStatus.SUCCESS}  # type: ignore[union-attr]
            assert bars(warehouse) == {"AAPL": NIGHT, "MSFT": NIGHT}

        last = mark(settings)
        assert last != before
        second.process.send_signal(signal.SIGINT)
        second.until_printed("everything has stopped")
        assert second.process.wait(SECONDS) == 0
        assert [line.split()[0] for line in second.output if line.endswith("| stopped")] == [
            "api", "daemon", "webserver", "code", "sandbox",
        ]  # fmt: skip
        assert not started_by(last)
        # The embedded server ran already when the second began, and outlives it therefore.
        assert embedded.find_running_server(settings.market_pipeline_data_dir) is not None
    finally:
        for running in (first, second):
            if running is not None:
                running.kill()
        end_all(mark(settings))
    assert not is_listening(api, API)
    for port in (api_port, ui_port):
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_that_is_taken_is_an_error_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(tmp_path / "data"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        for ports, option in (((port, find_free_port()), "--api-port"), ((find_free_port(), port), "--ui-port")):
            output = rejected(*ports)
            assert output.startswith(f"error: can't listen on 127.0.0.1:{port}")
            assert f"choose another with {option}\n" in output
    assert not (tmp_path / "data" / "postgres").exists()
