"""Ctrl-C and SIGTERM at every stage of a command: one line, the right exit code, and loaded bars stay."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from dagster import DagsterRunStatus
from pydantic import SecretStr
from sqlalchemy import Engine

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.forked_commands import ForkedCommand

SECONDS = 5.0
"""Seconds that a command may take to end."""

LAST_LINES = {
    signal.SIGINT: "stopped by Ctrl-C: what was done until then is kept; run the same command again for the rest",
    signal.SIGTERM: "stopped by SIGTERM: what was done until then is kept; run the same command again for the rest",
}
BACKFILL = ("backfill", "--symbols", "AAPL,MSFT", "--start", "2024-01-02", "--end", "2024-02-01")

AT_IMPORT = """
import os, signal, sys

class Signaller:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Signaller())
from market_pipeline.cli.main import main
main({arguments!r})
"""
"""The command, which receives a signal the moment it begins to import a module."""

TIDYING_UP = """
import sys, time
from market_pipeline.core import stop_signals

stop_signals.GRACE_SECONDS = {grace}
with stop_signals.watch_signals():
    try:
        print("working", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        print("tidying up", flush=True)
        time.sleep(600)
"""
"""A command whose cleaning up takes too long."""

STOPPING_ALL = """
import time
from market_pipeline.core import stop_signals
from market_pipeline.cli.up import _handle_signals

with stop_signals.watch_signals():
    stopping = _handle_signals()
    print("working", flush=True)
    stopping.wait()
    print("stopping", flush=True)
    time.sleep(600)
"""
"""Signal handling of `up`, while it takes too long to stop what it has started."""


class BackgroundCommand:
    """The command line in the background, whose standard error is read while it runs."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self._out, err = folder / "out", folder / "err"
        os.mkfifo(err)
        self._process = ForkedCommand(arguments, env, CHECKOUT, out=self._out, err=err)
        self._err = err.open(encoding="utf-8")

    def read_until(self, *expected: str) -> None:
        """Read standard error until all expected words have come."""
        left, output = set(expected), ""
        while left:
            line = self._err.readline()
            assert line, output
            output += line
            left -= {words for words in left if words in line}

    def end(self) -> tuple[int, str, str]:
        """Wait for its end, and return its exit code, and its output and the rest of standard error."""
        code, err = self._process.wait(60), self._err.read()
        return code, self._out.read_text(encoding="utf-8"), err

    def stop(self, number: signal.Signals) -> str:
        """Send the signal, check how it ends, and return its output."""
        before = time.monotonic()
        self._process.send_signal(number)
        code, out, err = self.end()
        assert time.monotonic() - before < SECONDS
        assert code == 128 + number
        assert "Traceback" not in out + err
        assert err.splitlines()[-1] == LAST_LINES[number]
        return out

    def close(self) -> None:
        """Kill it if it is left."""
        self._process.kill()
        self._err.close()


Start = Callable[..., BackgroundCommand]


@pytest.fixture
def start(
    environment: dict[str, str], dbt_manifest: None, sandbox: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Function that starts the command line in the background; processes that are left are killed."""
    with ExitStack() as started:

        def _start(*arguments: str, **changes: str) -> BackgroundCommand:
            env = {**environment, "POLYGON_BASE_URL": sandbox, **changes}
            command = BackgroundCommand(arguments, env, tmp_path_factory.mktemp("command"))
            started.callback(command.close)
            return command

        yield _start


def loaded_and_not_reached(table: str) -> tuple[list[str], list[str]]:
    """Return the symbols that a backfill's table has as loaded, and those named as not reached."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    counts = [dict(zip(rows[0], row, strict=True)) for row in rows[1:] if row[0] != "total"]
    not_reached = [
        line.split(": ")[1] for line in table.splitlines() if "before it was reached: the command was" in line
    ]
    return [row["symbol"] for row in counts if row["loaded"] == "22"], not_reached


@contextmanager
def locked(url: SecretStr, table: str) -> Iterator[Callable[[], None]]:
    """Lock a table, and yield a function that returns once another session waits for it."""
    with (
        psycopg.connect(url.get_secret_value()) as holder,
        psycopg.connect(url.get_secret_value(), autocommit=True) as observer,
    ):
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

        def wait_for_a_waiter() -> None:
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
            while observer.execute(query, [table]).fetchone() == (0,):
                time.sleep(0.02)

        yield wait_for_a_waiter


@pytest.fixture
def tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [Symbol.of(name, "stock") for name in ("AAPL", "MSFT")])


def canceled(settings: Settings) -> bool:
    with open_instance(settings) as instance:
        return [run.status for run in instance.get_runs()] == [DagsterRunStatus.CANCELED]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["typer", "pydantic", "sqlalchemy", "dagster", "numpy"])
def test_a_signal_during_imports_ends_the_command(
    environment: dict[str, str], tracked: None, module: str, number: signal.Signals
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_IMPORT.format(module=module, number=int(number), arguments=list(BACKFILL))],
        env={**environment, "POLYGON_BASE_URL": "http://127.0.0.1:9"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (128 + number, False)
    assert done.stderr.splitlines()[-1] == LAST_LINES[number]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_request_keeps_loaded_symbols(
    start: Start, settings: Settings, tracked: None, number: signal.Signals
) -> None:
    with running_sandbox(SandboxConfig(faults=("hang@range/MSFT",))) as hanging:
        backfill = start(*BACKFILL, POLYGON_BASE_URL=hanging)
        backfill.read_until("Successfully backfilled AAPL", "Backfilling MSFT")
        out = backfill.stop(number)
    assert loaded_and_not_reached(out) == (["AAPL"], ["MSFT"])
    assert canceled(settings)


def test_ctrl_c_during_a_retry_keeps_loaded_symbols(start: Start, settings: Settings, tracked: None) -> None:
    with running_sandbox(SandboxConfig(faults=("429=60@range/MSFT",))) as limited:
        backfill = start(*BACKFILL, POLYGON_BASE_URL=limited)
        backfill.read_until("Successfully backfilled AAPL", "Retrying in 60")
        out = backfill.stop(signal.SIGINT)
    assert loaded_and_not_reached(out) == (["AAPL"], ["MSFT"])
    assert canceled(settings)


def test_a_signal_during_the_wait_for_the_rate_limit_keeps_loaded_symbols(
    start: Start, settings: Settings, warehouse: Engine
) -> None:
    # Of coins nothing but bars is requested: BTC's are the one request of the minute.
    add_symbols(warehouse, [Symbol.of(name, "crypto") for name in ("BTC", "ETH")])
    days = ("--start", "2024-01-02", "--end", "2024-01-23")
    backfill = start("backfill", "--symbols", "BTC,ETH", *days, POLYGON_REQUESTS_PER_MINUTE="1")
    backfill.read_until("Successfully backfilled BTC")
    out = backfill.stop(signal.SIGTERM)
    assert loaded_and_not_reached(out) == (["BTC"], ["ETH"])
    assert canceled(settings)


def test_after_ctrl_c_during_a_load_the_same_command_loads_the_rest(
    start: Start, settings: Settings, tracked: None, database_url: SecretStr
) -> None:
    with locked(database_url, "bars") as wait_for_a_waiter:
        backfill = start(*BACKFILL, "--json")
        wait_for_a_waiter()
        out = backfill.stop(signal.SIGINT)
        assert out.count("before it was reached") == 2
    assert canceled(settings)
    again = start(*BACKFILL)
    code, out, err = again.end()
    assert (code, "was interrupted earlier" in err) == (0, False)
    assert loaded_and_not_reached(out) == (["AAPL", "MSFT"], [])


def test_a_signal_while_dbt_builds_ends_its_queries(
    start: Start, settings: Settings, tracked: None, database_url: SecretStr
) -> None:
    with locked(database_url, "bars") as wait_for_a_waiter:
        marts = start("marts")
        wait_for_a_waiter()
        marts.stop(signal.SIGTERM)
    assert canceled(settings)
    with psycopg.connect(database_url.get_secret_value()) as connection:
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dbt'"
        while connection.execute(left).fetchone() != (0,):  # dbt is gone, and so are its queries
            connection.rollback()
            time.sleep(0.05)


@pytest.mark.parametrize("arguments", [("coverage",), ("dbt", "run", "--select", "stg_market_data", "--quiet")])
def test_ctrl_c_during_a_query_ends_the_command(
    start: Start, tracked: None, database_url: SecretStr, arguments: tuple[str, ...]
) -> None:
    with locked(database_url, "bars") as wait_for_a_waiter:
        process = start(*arguments)
        wait_for_a_waiter()
        process.stop(signal.SIGINT)


def started(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def test_a_second_ctrl_c_ends_it_at_once() -> None:
    with started(TIDYING_UP.format(grace=600)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "tidying up\n"
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (130, LAST_LINES[signal.SIGINT] + "\n")


def test_it_ends_in_time_even_if_cleaning_up_hangs() -> None:
    with started(TIDYING_UP.format(grace=0.1)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (143, LAST_LINES[signal.SIGTERM] + "\n")


def test_a_second_ctrl_c_ends_up_at_once() -> None:
    with started(STOPPING_ALL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.stderr is not None
        assert process.returncode == 130
        assert process.stderr.read() == "stopped at once; the next start marks the interrupted runs as failed\n"
