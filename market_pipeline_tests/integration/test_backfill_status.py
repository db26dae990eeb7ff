"""Backfills executed by Dagster's daemon: their start, their execution, and their status meanwhile."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus
from sqlalchemy import Engine

from market_pipeline.core.errors import UsageError
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import BACKFILL_ID_TAG, BulkActionStatus
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.backfill_launch import (
    cancel_backfill,
    find_backfill,
    list_backfills,
    start_backfill,
)
from market_pipeline.orchestration.backfill_status import BackfillJob
from market_pipeline.orchestration.rejected_backfills import resume_rejected
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.corporate_action_refresh import NEXT_STEP
from market_pipeline.warehouse.load_history import add_note, read_run_history
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.dagster_internals import create_run_for_test
from market_pipeline_tests.end_to_end.test_dagster_tools import bars_held
from market_pipeline_tests.integration.code_location import RUN_SECONDS, Daemon, loaded_location
from market_pipeline_tests.integration.stored_bars import load_frame, recorded

AAPL, MSFT, FB, NOSUCH = (Symbol.of(name, "stock") for name in ("AAPL", "MSFT", "FB", "NOSUCH"))
BTC = Symbol.of("BTC", "crypto")
START, END = date(2012, 5, 14), date(2012, 5, 25)
SESSIONS, BEFORE_FB = 10, 4  # it was listed on 18 May

Start = Callable[..., BackfillJob]
Again = Callable[[BackfillJob], BackfillJob]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a webserver URL that nothing listens on."""
    return settings.model_copy(update={"dagster_webserver_url": "http://127.0.0.1:9"})


@pytest.fixture
def start(settings: Settings, instance: DagsterInstance, warehouse: Engine) -> Start:
    def _start(*symbols: Symbol, first: date = START, last: date = END) -> BackfillJob:
        return start_backfill(settings, instance, warehouse, symbols, first, last, now=datetime.now(UTC))

    return _start


@pytest.fixture
def again(instance: DagsterInstance, warehouse: Engine) -> Again:
    """Return the status of a backfill, read again."""

    def _again(job: BackfillJob) -> BackfillJob:
        found = find_backfill(instance, warehouse, job.id)
        assert found is not None
        return found

    return _again


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running_sandbox(SandboxConfig()) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def slow_once() -> Iterator[str]:
    """A sandbox that takes a minute for the first request for the bars of FB."""
    with running_sandbox(SandboxConfig(faults=("slow=60@range/FB*1",))) as base_url:
        yield base_url


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(getattr(request, "param", "sandbox")))


@pytest.fixture
def daemon(
    vendor: str, instance: DagsterInstance, warehouse: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Daemon]:
    """A daemon that has loaded all symbols but MSFT."""
    add_symbols(warehouse, [AAPL, FB, NOSUCH, BTC])
    monkeypatch.setenv("POLYGON_BASE_URL", vendor)
    with loaded_location(instance, tmp_path) as workspace:
        yield Daemon(workspace)


def status_in_dagster(instance: DagsterInstance, job: BackfillJob) -> BulkActionStatus:
    backfill = instance.get_backfill(job.id)
    assert backfill is not None
    return backfill.status


def test_a_backfill_is_followed_to_its_end_and_its_status_is_true(
    daemon: Daemon, start: Start, again: Again, instance: DagsterInstance, warehouse: Engine
) -> None:
    before_listing = start(FB)
    mixed = start(AAPL, NOSUCH, BTC, first=date(2024, 3, 2), last=date(2024, 3, 8))
    unwanted = start(AAPL)
    assert cancel_backfill(instance, warehouse, unwanted.id) == again(unwanted)

    daemon.run_backfill_iteration()
    assert [again(job).status for job in (before_listing, mixed, unwanted)] == ["running", "running", "cancelled"]
    assert [len(again(job).run_ids) for job in (before_listing, mixed, unwanted)] == [1, 2, 0]
    daemon.execute_queued_runs()
    ended = {job.id: again(job) for job in (before_listing, mixed)}
    for _ in range(2):  # Dagster itself takes two more iterations to notice that the runs are over
        daemon.run_backfill_iteration()
    for job in (before_listing, mixed):
        assert again(job) == ended[job.id]
    assert {job.id: status_in_dagster(instance, job) for job in (before_listing, mixed)} == {
        before_listing.id: BulkActionStatus.COMPLETED_SUCCESS,
        mixed.id: BulkActionStatus.COMPLETED_FAILED,
    }

    fine = again(before_listing)
    assert (fine.status, fine.error, dict(fine.errors)) == ("succeeded", None, {})
    assert fine.note is None
    assert (fine.start, fine.end) == (START, END)
    assert (fine.progress.sessions_done, fine.progress.sessions_total) == (SESSIONS, SESSIONS)
    assert (fine.progress.loaded, fine.progress.missing) == (SESSIONS - BEFORE_FB, BEFORE_FB)
    assert fine.ended_at is not None
    assert fine.ended_at > fine.created_at

    failed = again(mixed)
    assert (failed.status, failed.error, set(failed.errors)) == ("failed", None, {"NOSUCH"})
    assert "the vendor knows no ticker NOSUCH" in failed.errors["NOSUCH"]
    assert failed.symbols == ["AAPL", "BTC", "NOSUCH"]
    assert (failed.start, failed.end) == (date(2024, 3, 2), date(2024, 3, 8))
    assert failed.progress.sessions_total == failed.progress.sessions_done == 5 + 5 + 7
    assert (failed.progress.symbols_succeeded, failed.progress.symbols_failed) == (2, 1)
    assert {row.trigger for row in read_run_history(warehouse, failed.run_ids)} == {"api"}

    assert cancel_backfill(instance, warehouse, mixed.id) == failed
    assert [job.id for job in list_backfills(instance, warehouse, 2)] == [unwanted.id, mixed.id]


def test_a_symbol_that_is_removed_while_its_backfill_waits_costs_itself_and_no_other(
    daemon: Daemon, start: Start, again: Again, warehouse: Engine, instance: DagsterInstance
) -> None:
    started = start(AAPL, FB)
    remove_symbol(warehouse, "FB")
    daemon.run_backfill_iteration()
    daemon.execute_queued_runs()
    for _ in range(2):
        daemon.run_backfill_iteration()
    job = again(started)
    message = "FB is no longer tracked: `market-pipeline symbols add FB` tracks it again"
    assert (job.status, job.error, job.errors) == ("failed", None, {"FB": message})
    assert (job.progress.symbols_succeeded, job.progress.loaded) == (1, SESSIONS)
    assert len(instance.get_materialized_partitions(build_asset_key(AAPL))) == SESSIONS


@pytest.mark.parametrize("vendor", ["slow_once"], indirect=True)
def test_a_run_whose_own_process_is_killed_ends_as_failed_at_once_and_the_next_backfill_loads_the_rest(
    daemon: Daemon, start: Start, again: Again, warehouse: Engine
) -> None:
    started = start(AAPL, FB)
    daemon.run_backfill_iteration()
    daemon.launch_queued_runs()
    deadline = time.monotonic() + RUN_SECONDS
    while again(started).progress.symbols_succeeded == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    daemon.kill_runs()
    daemon.wait_for_runs()
    daemon.run_backfill_iteration()
    failed = again(started)
    assert (failed.status, set(failed.errors), failed.progress.symbols_succeeded) == ("failed", {"FB"}, 1)
    assert failed.ended_at is not None
    assert bars_held(warehouse) == {"AAPL": SESSIONS}

    second = start(AAPL, FB)
    daemon.run_backfill_iteration()
    daemon.execute_queued_runs()
    completed = again(second)
    assert (completed.status, completed.progress.unchanged, completed.progress.loaded) == (
        "succeeded",
        SESSIONS,
        SESSIONS - BEFORE_FB,
    )
    assert bars_held(warehouse) == {"AAPL": SESSIONS, "FB": SESSIONS - BEFORE_FB}


def test_a_backfill_of_a_symbol_that_the_daemon_has_yet_to_load_waits_for_it(
    daemon: Daemon, start: Start, again: Again, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [MSFT])
    started = start(MSFT)
    assert "no Dagster webserver responds at http://127.0.0.1:9" in str(started.note)
    for _ in range(3):  # the first fails the backfill, the second ends its runs, the third ignores it
        daemon.run_backfill_iteration()
        assert (again(started).status, again(started).ended_at) == ("requested", None)
        assert "has not loaded all of its symbols yet" in str(again(started).note)
    assert resume_rejected(instance, [AAPL]) == []
    daemon.reload_symbols()
    assert resume_rejected(instance, [AAPL, MSFT]) == [started.id]
    assert resume_rejected(instance, [AAPL, MSFT]) == []
    daemon.run_backfill_iteration()
    daemon.execute_queued_runs()
    assert (again(started).status, again(started).progress.loaded) == ("succeeded", SESSIONS)


@pytest.mark.parametrize("vendor", ["https://api.massive.com"])
def test_a_run_that_reaches_no_symbol_gives_the_reason(daemon: Daemon, start: Start, again: Again) -> None:
    started = start(AAPL, FB)
    daemon.run_backfill_iteration()
    daemon.execute_queued_runs()
    daemon.run_backfill_iteration()
    job = again(started)
    assert (job.status, job.progress.sessions_done, job.progress.symbols_failed) == ("failed", 0, 2)
    assert job.error is not None
    assert "POLYGON_API_KEY" in job.error
    assert job.errors == dict.fromkeys(("AAPL", "FB"), f"its run ended before it was reached: {job.error}")


def test_without_a_daemon_a_backfill_waits_with_a_reason(
    start: Start, again: Again, instance: DagsterInstance, warehouse: Engine
) -> None:
    started = start(AAPL, AAPL)
    assert (started.status, started.symbols, started.run_ids) == ("requested", ["AAPL"], [])
    assert started.note is not None
    assert "Dagster's daemon is not running: start it with `market-pipeline up`; the backfill begins when it does" in (
        started.note
    )
    assert again(started).progress == started.progress
    cancelled = cancel_backfill(instance, warehouse, started.id)
    assert cancelled is not None
    assert (cancelled.status, cancelled.ended_at) == ("cancelling", None)
    assert "is cancelled when it does" in str(cancelled.note)


def test_there_is_no_backfill_of_an_id_that_nobody_was_given(instance: DagsterInstance, warehouse: Engine) -> None:
    assert find_backfill(instance, warehouse, "nosuch") is None
    assert cancel_backfill(instance, warehouse, "nosuch") is None
    assert list_backfills(instance, warehouse, 10) == []


@pytest.mark.parametrize(
    ("symbols", "first", "last", "message"),
    [
        ([], START, END, "no symbol"),
        ([AAPL], END, START, "is after"),
        ([AAPL], date(2012, 5, 26), date(2012, 5, 28), "no session that is over"),
        ([AAPL], date(1999, 1, 4), date(1999, 12, 31), "its first is 2000-01-03"),
        ([AAPL, BTC], START, END, "its first is 2013-11-01"),
        ([AAPL], date(2999, 1, 1), date(2999, 12, 31), "no session that is over"),
    ],
)
def test_sessions_that_can_not_be_backfilled_are_rejected(
    start: Start, instance: DagsterInstance, symbols: list[Symbol], first: date, last: date, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        start(*symbols, first=first, last=last)
    assert instance.get_backfills() == []


def test_sessions_before_the_first_and_after_the_newest_are_left_out(start: Start) -> None:
    job = start(AAPL, first=date(1999, 1, 1), last=date(2000, 1, 7))
    assert (job.start, job.end, job.progress.sessions_total) == (date(2000, 1, 3), date(2000, 1, 7), 5)


def test_a_backfill_reports_that_its_splits_could_not_be_fetched(
    start: Start, again: Again, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL])
    job = start(AAPL)
    run = create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags={BACKFILL_ID_TAG: job.id})
    load_frame(warehouse, AAPL, recorded("AAPL", START, END), run_id=run.run_id)
    add_note(warehouse, run.run_id, ["AAPL"], f"its splits could not be fetched (the vendor returned 403); {NEXT_STEP}")
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id)
    ended = again(job)
    assert ended.status == "succeeded"
    assert ended.note == (
        f"The splits or dividends of AAPL could not be fetched, as backfill_history says; {NEXT_STEP}"
    )
