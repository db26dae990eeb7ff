"""Runs over partitions that are no sessions, or over none: rejected in one line that names partitions to choose."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterEventType, DagsterInstance
from sqlalchemy import Engine

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dagster_internals import asset_materialize_command, job_execute_command, launch_command
from market_pipeline_tests.integration.code_location import Daemon, loaded_location

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
AGAIN = """
mutation ($params: ReexecutionParams!) {
  launchPipelineReexecution(reexecutionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
SATURDAY = "2024-01-13 is no session that is over: choose 2024-01-12 or 2024-01-16"  # the Monday was a holiday
NONE_CHOSEN = (
    "no session was chosen: choose partitions in the Dagster UI, or run `dagster asset materialize` with --partition"
)
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def instance(settings: Settings, environment: dict[str, str], warehouse: Engine) -> Iterator[DagsterInstance]:
    add_symbols(warehouse, [Symbol.of("AAPL", "stock"), Symbol.of("BTC", "crypto")])
    with open_instance(settings) as opened:
        yield opened


@pytest.fixture
def daemon(instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon with a vendor URL at which nothing listens, so that a request fails with another message."""
    monkeypatch.setenv("POLYGON_BASE_URL", "http://127.0.0.1:9")
    with loaded_location(instance, tmp_path) as workspace:
        yield Daemon(workspace)


def launched(daemon: Daemon, symbol: str, **tags: str) -> Mapping[str, Any]:
    """Launch a run of one asset with these tags as the UI does, and return the GraphQL response."""
    params = {
        "selector": {
            "repositoryLocationName": "location.py",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": ["market_data", symbol]}],
            "assetCheckSelection": [],
        },
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    response: Mapping[str, Any] = daemon.query_ui(LAUNCH, params=params)["launchPipelineExecution"]
    return response


def test_a_launch_without_sessions_names_what_to_choose(daemon: Daemon, instance: DagsterInstance) -> None:
    for message, tags in {
        SATURDAY: [
            {"dagster/partition": "2024-01-13"},
            {START: "2024-01-08", END: "2024-01-13"},
            {START: "2024-01-13", END: "2024-01-17"},
        ],
        "1999-12-31 is no session that is over: choose 2000-01-03": [{"dagster/partition": "1999-12-31"}],
    }.items():
        for given in tags:
            response = launched(daemon, "AAPL", **given)
            assert response["__typename"] == "PythonError", given
            assert response["message"].strip().endswith(message)
    assert instance.get_runs() == []

    # Coins trade on Saturdays too.
    coin = launched(daemon, "BTC", **{"dagster/partition": "2024-01-13"})["run"]["runId"]
    first = launched(daemon, "AAPL")["run"]["runId"]
    daemon.execute_queued_runs()
    params = {"parentRunId": first, "strategy": "ALL_STEPS"}
    second = daemon.query_ui(AGAIN, params=params)["launchPipelineReexecution"]["run"]["runId"]
    daemon.execute_queued_runs()
    assert "127.0.0.1:9" in failure(instance, coin)
    for run_id in (first, second):
        assert NONE_CHOSEN in failure(instance, run_id)


def failure(instance: DagsterInstance, run_id: str) -> str:
    """Return the error of the run's failed step."""
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records
    [error] = [record.event_log_entry.get_dagster_event().step_failure_data.error for record in records]
    assert error is not None
    assert error.cause is None
    return error.message


COMMANDS = (
    (asset_materialize_command, ("--select", "key:market_data/AAPL", "--partition", "2024-01-13"), SATURDAY),
    (launch_command, ("--assets", "market_data/AAPL", "--partition-range", "2024-01-08...2024-01-13"), SATURDAY),
    (launch_command, ("--job", "nightly_equities_job", "--partition", "2024-01-13"), SATURDAY),
    (job_execute_command, ("-j", "nightly_equities_job", "--tags", '{"dagster/partition": "2024-01-13"}'), SATURDAY),
    (asset_materialize_command, ("--select", "key:market_data/AAPL"), NONE_CHOSEN),
    (job_execute_command, ("-j", "nightly_equities_job"), NONE_CHOSEN),
    (launch_command, ("--assets", "market_data/AAPL,market_data/BTC"), NONE_CHOSEN),
    (launch_command, ("--job", "nightly_equities_job"), NONE_CHOSEN),
)


@pytest.mark.usefixtures("dbt_manifest")
@pytest.mark.filterwarnings("ignore:Function .* is superseded")
def test_dagsters_commands_reject_bad_ranges_in_one_line(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    for command, arguments, message in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            command.main([*arguments, "-m", "market_pipeline.definitions"], prog_name=str(command.name))
        assert ended.value.code == 2
        [line] = capsys.readouterr().err.splitlines()
        assert message in line, arguments
    assert instance.get_runs() == []
