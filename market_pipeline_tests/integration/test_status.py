"""`market-pipeline status` on warehouses in every state; it changes nothing."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus
from sqlalchemy import Engine

from market_pipeline.api.server import running_api
from market_pipeline.cli.main import main
from market_pipeline.core.run_planning import TRIGGER_TAG
from market_pipeline.core.sessions import find_newest_ended_session, list_last_sessions, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import DaemonHeartbeat, SchedulerDaemon
from market_pipeline.operations.status import find_data_problems
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dagster_internals import create_run_for_test
from market_pipeline_tests.integration.stored_bars import AAPL, load_failure, load_frame, query, recorded

MSFT, FB = Symbol.of("MSFT", "stock"), Symbol.of("FB", "stock")
OCTOBER = list_sessions("XNYS", date(2012, 10, 1), date(2012, 10, 31))

Result = tuple[int, str]
RunCommand = Callable[..., Result]


@pytest.fixture
def status(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RunCommand:
    """Function that returns the command's exit code and output."""
    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "http://127.0.0.1:9")

    def _status(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            main(["status", *arguments])
        return int(str(ended.value.code or 0)), capsys.readouterr().out

    return _status


def to_json(result: Result) -> dict[str, Any]:
    return dict(json.loads(result[1]))


def databases(warehouse: Engine) -> set[str]:
    return {row["datname"] for row in query(warehouse, "SELECT datname FROM pg_database")}


def test_a_new_warehouse_lacks_symbols_and_services_and_nothing_is_created(
    status: RunCommand, warehouse: Engine
) -> None:
    before = databases(warehouse)
    code, output = status("--api-url", "http://127.0.0.1:9")
    assert code == 1
    assert output.split("What is wrong\n")[1].splitlines() == [
        "  Dagster's daemon is not running and never has: start it with `market-pipeline up`",
        "  Dagster's UI does not respond at http://127.0.0.1:9: start it with `market-pipeline up`, "
        "or set DAGSTER_WEBSERVER_URL",
        "  the API does not respond at http://127.0.0.1:9: start it with `market-pipeline up`, or give --api-url",
        "  no symbols are tracked: run `market-pipeline symbols init`",
    ]
    assert "last run    none yet" in output
    assert databases(warehouse) == before


def test_the_last_run_and_missing_sessions_are_reported_with_the_commands_that_fix_them(
    status: RunCommand, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL, MSFT, FB])
    bars = recorded("AAPL", OCTOBER[0], OCTOBER[-1])
    load_frame(warehouse, AAPL, bars.drop(index=[4, 5]), sessions=OCTOBER, run_id="run-0")
    load_frame(warehouse, AAPL, bars[:3], run_id="run-1")
    load_failure(warehouse, MSFT, OCTOBER, "MSFT: the vendor returned 500", run_id="run-1")
    state = to_json(status("--json"))
    assert state["ok"] is False
    assert (state["last_run"]["run_id"], state["last_run"]["trigger"]) == ("run-1", "cli")
    assert [state["last_run"][name] for name in ("symbols", "succeeded", "failed", "loaded")] == [2, 1, 1, 0]
    assert state["symbols"]["tracked"] == 3
    assert state["symbols"]["failed"] == {"MSFT": "MSFT: the vendor returned 500"}
    assert state["symbols"]["never_loaded"] == ["FB", "MSFT"]
    assert state["symbols"]["behind"] == ["AAPL"]
    assert state["symbols"]["by_health"] == {"fine": 0, "behind": 1, "attention": 2}, "as /metrics counts them"
    assert "3 tracked: 0 fine, 1 behind, 2 attention; 2 without bars, 1 failed in their last load" in status()[1]
    assert state["sessions_to_fetch"]["never_asked"] > 1000
    assert [(each["kind"], each["symbol"], each["never"]) for each in state["actions_behind"]] == [
        ("splits", "AAPL", True), ("dividends", "AAPL", True),
    ]  # fmt: skip
    assert "the splits and dividends of AAPL have never been fetched" in state["problems"].pop()
    by_command = {problem.rsplit("`")[-2]: problem for problem in state["problems"]}
    assert "the last load of MSFT failed (MSFT: the vendor returned 500)" in by_command[
        "market-pipeline backfill --missing --symbols MSFT"
    ]  # fmt: skip
    assert "sessions of AAPL are missing" in by_command["market-pipeline backfill --missing"]


def test_a_running_daemon_and_api_and_current_data_are_reported(
    status: RunCommand, warehouse: Engine, settings: Settings, instance: DagsterInstance
) -> None:
    latest = find_newest_ended_session("XNYS", datetime.now(UTC))
    assert latest is not None
    [before, latest] = list_last_sessions("XNYS", latest, 2)
    add_symbols(warehouse, [AAPL])
    bars = recorded("AAPL", OCTOBER[0], OCTOBER[-1])[:1]
    moved = bars.assign(date=[before], time=bars["time"] + (before - OCTOBER[0]))
    load_frame(warehouse, AAPL, moved.astype({"date": "datetime64[us]"}), sessions=[before])
    instance.add_daemon_heartbeat(
        DaemonHeartbeat(datetime.now(UTC).timestamp(), SchedulerDaemon.daemon_type(), "daemon", [])
    )
    with running_api(settings) as api:
        state = to_json(status("--json", "--api-url", api))
    assert state["api"] == {"url": api, "answers": True}
    assert state["symbols"]["behind"] == ["AAPL"], "the coming night's session is reported, and is no problem"
    assert not [problem for problem in state["problems"] if "missing and" in problem or "API" in problem]
    assert datetime.fromisoformat(state["dagster"]["last_heartbeat"]) > datetime.now(UTC) - timedelta(minutes=5)
    assert any("no nightly schedule" in problem for problem in state["problems"])


def test_a_failed_last_run_is_a_problem_unless_a_command_started_it(
    status: RunCommand, instance: DagsterInstance
) -> None:
    def result() -> list[str]:
        return [problem for problem in to_json(status("--json"))["problems"] if "last run" in problem]

    def ended(reason: str | None, **tags: str) -> str:
        run = create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags=tags)
        if reason is None:
            instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id)
        else:
            instance.report_run_failed(run, reason)
        return str(run.run_id)

    run_id = ended("The process that executed this run ended without finishing it.")
    ended("typed by a user, who has read the error", **{TRIGGER_TAG: "cli"})
    assert result() == [
        f"Dagster's last run failed: see http://127.0.0.1:9/runs/{run_id}; the next night loads the rest"
    ]
    ended(None)
    assert result() == []


def test_a_database_that_is_down_is_one_problem_without_its_password(
    status: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@127.0.0.1:9/market_data")
    code, output = status("--json")
    state = json.loads(output)
    assert code == 1
    assert "127.0.0.1:9/market_data can't be used" in state["problems"][0]
    assert output.count("connection") == output.count("connection to server"), "psycopg's own words are left out"
    assert [state[name] for name in ("dagster", "last_run", "symbols", "sessions_to_fetch")] == [None] * 4
    assert "hunter2" not in output
    assert "hunter2" not in status()[1]


def test_an_embedded_server_that_does_not_run_is_not_started(
    status: RunCommand, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    code, output = status()
    assert code == 1
    assert "start it with `market-pipeline db start`" in output
    assert not settings.market_pipeline_data_dir.exists()


def test_an_older_schema_names_the_migration(status: RunCommand, warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    state = to_json(status("--json"))
    assert state["database"]["revision"] == "0001"
    assert state["problems"][0].endswith("run `market-pipeline db migrate`")
    assert state["symbols"] is None


ROW = {"symbol": "AAPL", "last_error": None, "fetchable": 3, "health": "attention"}


def test_symbols_that_are_fine_or_behind_are_no_problem() -> None:
    assert (
        find_data_problems([{**ROW, "health": "fine", "fetchable": 0}, {**ROW, "health": "behind", "fetchable": 1}])
        == []
    )


def test_each_kind_of_problem_names_its_symbols_and_the_command() -> None:
    rows = [ROW, {**ROW, "symbol": "IBM", "last_error": "no"}, {**ROW, "symbol": "NONE", "fetchable": 0}]
    assert find_data_problems(rows) == [
        "the last load of IBM failed (no): run `market-pipeline backfill --missing --symbols IBM`",
        "3 sessions of AAPL are missing and can be fetched: run `market-pipeline backfill --missing`",
        "the vendor has no bar of NONE: run `market-pipeline symbols check NONE`",
    ]


def test_many_symbols_are_one_line() -> None:
    rows = [{**ROW, "symbol": f"S{number}", "fetchable": 3} for number in range(9)]
    assert find_data_problems(rows) == [
        "27 sessions of S0, S1, S2, S3, S4 and 4 more are missing and can be fetched: "
        "run `market-pipeline backfill --missing`"
    ]
