"""The command `market-pipeline api`: its output, its errors, and its end."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests
from pydantic import SecretStr

from market_pipeline.cli.main import main

COMMAND: list[str | Path] = [Path(sys.executable).with_name("market-pipeline"), "api"]


@contextmanager
def started(environment: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command as a child process; yield it and the first line that it prints."""
    api = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments], env=environment, stderr=subprocess.PIPE, text=True,
        # Where the tests run in a shell's background, SIGINT would be ignored.
    )  # fmt: skip
    assert api.stderr is not None
    try:
        yield api, api.stderr.readline()
    finally:
        api.kill()
        api.wait()
        api.stderr.close()


def test_it_prints_its_url_logs_requests_and_stops_at_ctrl_c(environment: dict[str, str]) -> None:
    with started(environment, "--access-log") as (api, line):
        url = line.split()[4]
        assert line == f"The API is at {url} and documented at {url}/docs. Ctrl-C stops it.\n"
        assert requests.get(f"{url}/health", timeout=30).json()["database"] == "reachable"
        assert requests.get(f"{url}/docs", timeout=30).ok
        requests.get(f"{url}/v2/aggs/ticker/A/prev?apiKey=mdw_SECRET&adjusted=false", timeout=30)
        api.send_signal(signal.SIGINT)
        _, log = api.communicate(timeout=30)
        assert '"GET /health HTTP/1.1" 200' in log
        assert '"GET /v2/aggs/ticker/A/prev?apiKey=***&adjusted=false HTTP/1.1" 404' in log  # the dialect is off
        assert "SECRET" not in log
        assert log.endswith("The API has stopped.\n")
        assert api.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_five_seconds_with_open_requests(
    environment: dict[str, str], database_url: SecretStr, number: signal.Signals
) -> None:
    with (
        started(environment) as (api, line),
        psycopg.connect(database_url.get_secret_value()) as holder,
        psycopg.connect(database_url.get_secret_value(), autocommit=True) as observer,
        ThreadPoolExecutor(1) as client,
    ):
        holder.execute("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE")
        pending = client.submit(requests.get, f"{line.split()[4]}/api/v1/tables/market_data", timeout=60)
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'bars'::regclass"
        while observer.execute(query).fetchone() == (0,):
            assert not pending.done(), pending.result().text
            time.sleep(0.02)
        before = time.monotonic()
        api.send_signal(number)
        _, log = api.communicate(timeout=30)
        assert time.monotonic() - before < 5
        assert (api.returncode, "Traceback" in log) == (0, False), log
        assert log.endswith("The API has stopped.\n")
        while observer.execute(query).fetchone() != (0,):  # its statement is cancelled too
            time.sleep(0.02)
        assert isinstance(pending.exception(), requests.ConnectionError) or not pending.result().ok


def test_listening_beyond_this_machine_without_keys_is_reported(environment: dict[str, str]) -> None:
    with started(environment, "--host", "0.0.0.0") as (api, _):
        assert api.stderr is not None
        assert "API_KEY_REQUIRED=true requires a key" in api.stderr.readline()


def test_a_port_that_is_taken_and_a_database_that_is_down_are_one_line_each(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def error_of(port: int) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["api", "--port", str(port)])
        assert ended.value.code == 1
        return capfd.readouterr().err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert error_of(port).startswith(f"error: can't listen on 127.0.0.1:{port}")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@127.0.0.1:9/market_data")
    error = error_of(0)
    assert error.count("\n") == 1
    assert "127.0.0.1:9/market_data can't be used" in error
    assert "hunter2" not in error
