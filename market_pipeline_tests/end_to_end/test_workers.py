"""Runs and steps on several workers over a real Redis, also if a worker is killed."""

import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRequest, RunsFilter
from pydantic import SecretStr
from sqlalchemy import Engine, func, select

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.celery_app import Queue, make_celery_app
from market_pipeline.orchestration.partitions import build_range_tags
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.embedded import Server
from market_pipeline.warehouse.tables import backfill_history
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dagster_internals import submit_asset_run
from market_pipeline_tests.end_to_end.conftest import Run
from market_pipeline_tests.end_to_end.fleet import Fleet, kill, running_fleet
from market_pipeline_tests.end_to_end.test_interrupts import locked
from market_pipeline_tests.processes import until

NAMES = ("AAPL", "AMD", "AMZN", "GOOGL", "IBM", "INTC", "MSFT", "NVDA")
SYMBOLS = {name: Symbol.of(name, "stock") for name in NAMES}
START, END = date(2012, 5, 1), date(2012, 5, 31)
SESSIONS = list_sessions("XNYS", START, END)
SLOW = ("slow=60@range/MSFT*1", "slow=60@range/NVDA*1")
"""The first request for the bars of each takes a minute: time to see where a run is, and to kill its worker."""


@contextmanager
def fleet_of(server: Server, folder: Path, **settings: str) -> Iterator[Fleet]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_warehouse")
        url = server.url(name)
        warehouse = create_warehouse_engine(url)
        add_symbols(warehouse, SYMBOLS.values())
        warehouse.dispose()
        with running_sandbox(SandboxConfig(faults=SLOW)) as sandbox:
            given = {
                "DATABASE_URL": url.get_secret_value(),
                "MARKET_PIPELINE_DATA_DIR": str(folder / "data"),
                "POLYGON_BASE_URL": sandbox,
                **settings,
            }
            others = {field.upper(): "" for field in Settings.model_fields}
            with running_fleet(folder, {**others, **given}) as fleet:
                yield fleet
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute(f"DROP DATABASE IF EXISTS {name}_dagster WITH (FORCE)")


@pytest.fixture(scope="module")
def runs_on_workers(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of(server, tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


class Operator:
    """Starts runs and reads their states."""

    def __init__(self, fleet: Fleet, instance: DagsterInstance, warehouse: Engine) -> None:
        self.fleet = fleet
        self.instance = instance
        self.warehouse = warehouse

    def launch(self, *names: str) -> str:
        """Queue a run over the range, and return its id."""
        expected = RunRequest(
            asset_selection=[build_asset_key(SYMBOLS[name]) for name in names],
            tags=build_range_tags(SESSIONS[0], SESSIONS[-1]),
        )
        with self.fleet.workspace(self.instance) as context:
            workspace = context.create_request_context()
            log = logging.getLogger(__name__)
            run = asyncio.run(submit_asset_run(None, expected, 0, self.instance, context, workspace, {}, {}, log))
        return run.run_id

    def run(self, run_id: str) -> DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def wait_for_end(self, run_id: str) -> DagsterRun:
        until(lambda: self.run(run_id).is_finished, "the run")
        return self.run(run_id)

    def wait_for_retry(self, run_id: str) -> str:
        again = until(lambda: self.instance.get_runs(RunsFilter(tags={"dagster/parent_run_id": run_id})), "the retry")
        return str(again[0].run_id)

    def output(self, run_id: str) -> list[str]:
        return [event.message for event in self.instance.all_logs(run_id)]

    def worker_of(self, *names: str, queue: Queue = "runs") -> str:
        """Return the name of the worker that executes a run."""
        return str(until(lambda: next(iter(self.busy(*names, queue=queue)), None), "the start of a task"))

    def busy(self, *names: str, queue: Queue = "runs") -> list[str]:
        nodes = {self.fleet.node(name, queue): name for name in names}
        active = make_celery_app(load_settings(), queue).control.inspect(list(nodes), timeout=5).active() or {}
        return sorted(nodes[node] for node, tasks in active.items() if tasks)

    def bars(self, *names: str) -> dict[str, int]:
        query = select(market_data.c.symbol, func.count()).group_by(market_data.c.symbol)
        with self.warehouse.connect() as connection:
            held = {row[0]: row[1] for row in connection.execute(query)}
        return {name: held[name] for name in names if name in held}

    def check_complete(self, *names: str) -> None:
        """Check that all bars are stored, all load records add up, and every partition is green."""
        assert self.bars(*names) == dict.fromkeys(names, len(SESSIONS))
        history = select(backfill_history).where(backfill_history.c.symbol.in_(names))
        with self.warehouse.connect() as connection:
            for row in connection.execute(history).mappings():
                assert row["fetched"] == row["loaded"] + row["revised"] + row["unchanged"] + row["rejected"], row
        for name in names:
            green = self.instance.get_materialized_partitions(build_asset_key(SYMBOLS[name]))
            assert green == {session.isoformat() for session in SESSIONS}


@contextmanager
def operating(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    for name in (*(field.upper() for field in Settings.model_fields), "DAGSTER_HOME"):
        if fleet.env.get(name):
            monkeypatch.setenv(name, fleet.env[name])
    address = load_settings().database_url
    assert address is not None
    warehouse = create_warehouse_engine(address)
    with DagsterInstance.get() as instance:
        yield Operator(fleet, instance, warehouse)
    warehouse.dispose()


@pytest.fixture
def operator(runs_on_workers: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    with operating(runs_on_workers, monkeypatch) as found:
        yield found


def test_two_runs_at_once_run_on_two_workers(operator: Operator) -> None:
    operator.fleet.start_workers(first="runs", second="runs")
    with locked(SecretStr(operator.fleet.env["DATABASE_URL"]), "bars"):  # so neither run ends before both are seen
        runs = [operator.launch("AAPL", "AMD"), operator.launch("AMZN", "IBM")]
        until(lambda: operator.busy("first", "second") == ["first", "second"], "both workers' work")
    assert [operator.wait_for_end(run).status for run in runs] == [DagsterRunStatus.SUCCESS] * 2
    operator.check_complete("AAPL", "AMD", "AMZN", "IBM")


def test_a_run_whose_worker_is_killed_fails_with_its_name_and_is_retried_by_another_one(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.fleet.start_workers(first="runs", second="runs")
    run = operator.launch("INTC", "MSFT")
    until(lambda: operator.bars("INTC"), "the first symbol's bars")
    victim = operator.worker_of("first", "second")
    killed = time.monotonic()
    kill(operator.fleet.workers[victim])

    assert operator.wait_for_end(run).status is DagsterRunStatus.FAILURE
    noticed = time.monotonic() - killed
    [verdict] = [output for output in operator.output(run) if "is gone" in output]
    assert f"The worker {operator.fleet.node(victim)} is gone; the run was not finished." in verdict
    again = operator.wait_for_end(operator.wait_for_retry(run))
    done = time.monotonic() - killed
    assert again.status is DagsterRunStatus.SUCCESS
    operator.check_complete("INTC", "MSFT")
    with capsys.disabled():
        sys.stdout.write(f"\nits worker killed, a run failed after {noticed:.1f} s and was done after {done:.1f} s\n")


def test_a_run_that_is_stopped_ends_as_canceled_whether_it_runs_or_waits(operator: Operator) -> None:
    operator.fleet.start_workers(first="runs")
    for name in set(operator.fleet.workers) - {"first"}:
        kill(operator.fleet.workers.pop(name))
    running = operator.launch("NVDA")
    until(lambda: any("Backfilling NVDA" in output for output in operator.output(running)), "the run's request")
    waiting = operator.launch("GOOGL")
    until(lambda: operator.run(waiting).status is DagsterRunStatus.STARTING, "the wait for a worker")
    for run in (waiting, running):
        assert operator.instance.run_coordinator.cancel_run(run)
        assert operator.wait_for_end(run).status is DagsterRunStatus.CANCELED
    operator.wait_for_end(operator.launch("GOOGL"))
    assert operator.bars("GOOGL", "NVDA") == {"GOOGL": len(SESSIONS)}


@pytest.fixture
def operator_of_steps(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    with fleet_of(server, tmp_path, STEPS_ON_WORKERS="true") as fleet, operating(fleet, monkeypatch) as found:
        yield found


def test_a_step_whose_worker_is_killed_is_retried_by_another_one_and_the_run_succeeds(
    operator_of_steps: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    operator, fleet = operator_of_steps, operator_of_steps.fleet
    fleet.start_workers(run="runs", first="steps", second="steps")
    run = operator.launch("INTC", "MSFT")
    until(lambda: operator.bars("INTC"), "the first symbol's bars")
    victim = operator.worker_of("first", "second", queue="steps")
    killed = time.monotonic()
    kill(fleet.workers[victim])

    until(lambda: any("goes to another worker, attempt 2 of 3" in output for output in operator.output(run)), "notice")
    noticed = time.monotonic() - killed
    assert operator.wait_for_end(run).status is DagsterRunStatus.SUCCESS
    done = time.monotonic() - killed
    assert any(f"The worker {fleet.node(victim, 'steps')} is gone" in output for output in operator.output(run))
    operator.check_complete("INTC", "MSFT")
    with capsys.disabled():
        sys.stdout.write(
            f"\nits worker killed, a step was handed over after {noticed:.1f} s and done after {done:.1f} s\n"
        )


def test_without_a_broker_a_worker_names_the_setting(run: Run, tmp_path: Path) -> None:
    rejected = run("market-pipeline", "worker", DAGSTER_HOME=str(tmp_path))
    assert (rejected.returncode, rejected.stdout) == (2, "")
    assert rejected.stderr.startswith("error: CELERY_BROKER_URL is not set: set it to the Redis")


def test_without_dagster_home_a_worker_names_the_variable(run: Run) -> None:
    rejected = run("market-pipeline", "worker", CELERY_BROKER_URL="redis://:hunter2@127.0.0.1:1/0")
    assert (rejected.returncode, rejected.stdout) == (2, "")
    assert rejected.stderr.startswith("error: DAGSTER_HOME is not set: give it the full path")
