"""Output of runs: in files for the Dagster UI's tabs, or on the terminal of the command."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance
from sqlalchemy import Engine

from market_pipeline.cli.main import main
from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.run_launch import launch_range_run, open_instance
from market_pipeline.orchestration.run_output import ON_THE_TERMINAL
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.code_location import Daemon, loaded_location
from market_pipeline_tests.integration.test_chosen_partitions import launched

AAPL = Symbol.of("AAPL", "stock")
KEY = "kEy0123456789abcdefTOPSECRET"
OUTPUT = """
query ($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }
"""


@pytest.fixture
def on_sandbox(settings: Settings) -> Iterator[Settings]:
    with running_sandbox(SandboxConfig()) as base_url:
        yield settings.model_copy(update={"polygon_base_url": base_url})


@pytest.fixture
def instance(settings: Settings, environment: dict[str, str], warehouse: Engine) -> Iterator[DagsterInstance]:
    add_symbols(warehouse, [AAPL])
    with open_instance(settings) as opened:
        yield opened


def shown(daemon: Daemon, run_id: str) -> dict[str, str]:
    """Return the text of the two tabs of a run's page."""
    records = daemon.instance.get_records_for_run(run_id, of_type=DagsterEventType.LOGS_CAPTURED).records
    [event] = [record.event_log_entry.get_dagster_event() for record in records]
    key = [run_id, "compute_logs", event.logs_captured_data.file_key]
    logs: dict[str, str] = daemon.query_ui(OUTPUT, key=key)["capturedLogs"]
    return logs


def test_the_tabs_show_a_runs_output_or_its_place_and_old_output_is_deleted(
    on_sandbox: Settings,
    instance: DagsterInstance,
    warehouse: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POLYGON_BASE_URL", on_sandbox.polygon_base_url)
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    with loaded_location(instance, tmp_path) as workspace:
        daemon = Daemon(workspace)
        by_daemon = launched(daemon, "AAPL", **{"dagster/partition": "2012-10-31"})["run"]["runId"]
        daemon.execute_queued_runs()
        output = shown(daemon, by_daemon)
        assert "Successfully backfilled AAPL: fetched 1 bar (1 loaded" in output["stderr"]
        assert KEY not in str(output)
        assert str(warehouse.url.password) not in str(output)

        sessions = list_sessions("XNYS", date(2012, 11, 1), date(2012, 11, 2))
        of_command = launch_range_run(
            build_loading(on_sandbox), RangeRun("XNYS", [AAPL], sessions), instance, warehouse
        )
        assert of_command.success
        assert shown(daemon, of_command.run_id) == {"stdout": ON_THE_TERMINAL, "stderr": ON_THE_TERMINAL}

    folder = on_sandbox.dagster_dir / "run_output"
    assert {run.name for run in folder.iterdir()} == {by_daemon, of_command.run_id}
    long_ago = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    for file in (folder / by_daemon).rglob("*"):
        os.utime(file, (long_ago, long_ago))
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["db", "prune"])
    assert not ended.value.code
    assert "Deleted the output of 1 run" in capfd.readouterr().out
    assert {run.name for run in folder.iterdir()} == {of_command.run_id}
