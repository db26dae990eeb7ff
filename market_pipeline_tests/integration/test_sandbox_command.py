"""The command `market-pipeline sandbox`: its output, its end, and its errors."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from pyarrow.fs import FileSelector, S3FileSystem

from market_pipeline.cli.main import main
from market_pipeline.core.sockets import PortTakenError, listen
from market_pipeline.sandbox.faults import FAULTS
from market_pipeline.sandbox.loopback_server import NotLoopbackError, listen_on_loopback, running_sandbox

COMMAND = [sys.executable, "-c", "from market_pipeline.cli.main import main; main()", "sandbox"]


def run(*options: str) -> int | str | None:
    """Run the command in this process, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", *options])
    return ended.value.code


@contextmanager
def started(*options: str, lines: int = 2) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the command; yield its process and the environment variables that it prints."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            printed = [process.stdout.readline().strip() for _ in range(lines)]
            yield process, dict(line.removeprefix("export ").split("=", 1) for line in printed)
        finally:
            process.kill()


def test_it_prints_its_usage_responds_and_stops_on_an_interrupt() -> None:
    with started("--now", "2024-06-04T02:00", "--fault", "500@MSFT") as (process, printed):
        assert set(printed) == {"POLYGON_BASE_URL", "POLYGON_API_KEY"}
        headers = {"Authorization": f"Bearer {printed['POLYGON_API_KEY']}"}
        url = printed["POLYGON_BASE_URL"]
        (bar,) = requests.get(f"{url}/v2/aggs/ticker/SPY/prev", headers=headers, timeout=20).json()["results"]
        assert bar["t"] == 1717185600000  # 31 May 2024, by the clock it was given
        assert requests.get(f"{url}/v2/aggs/ticker/MSFT/prev", headers=headers, timeout=20).status_code == 500
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_with_a_market_it_prints_how_to_read_its_flat_files() -> None:
    options = (
        "--now",
        "2024-06-15T02:00",
        "--market-tickers",
        "20",
        "--file-key",
        "reader:hidden",
        "--files-at",
        "08:30",
    )
    with started(*options, lines=5) as (_, printed):
        assert set(printed) - {"POLYGON_BASE_URL", "POLYGON_API_KEY"} == {
            "POLYGON_S3_ENDPOINT", "POLYGON_S3_ACCESS_KEY", "POLYGON_S3_SECRET_KEY",
        }  # fmt: skip
        assert "hidden" not in str(printed)
        files = S3FileSystem(
            endpoint_override=printed["POLYGON_S3_ENDPOINT"].removeprefix("http://"),
            scheme="http", access_key="reader", secret_key="hidden", region="us-east-1",
        )  # fmt: skip
        infos = files.get_file_info(FileSelector("flatfiles/us_stocks_sip/day_aggs_v1/2024/06"))
        assert infos[-1].base_name == "2024-06-13.csv.gz"


def test_it_lists_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list-faults") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FAULTS)


def test_a_taken_port_is_an_error_with_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    with running_sandbox() as url:
        assert run("--port", url.rpartition(":")[2]) == 1
    printed = capsys.readouterr()
    assert "--port" in printed.err
    assert "already in use" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "0.0.0.0"), "--host 127.0.0.1"),
        (("--fault", "nope"), "is not known"),
        (("--now", "tomorrow"), "2024-06-04T02:00"),
        (("--file-key", "access"), "--file-key ACCESS:SECRET"),
        (("--files-at", "noon"), "a time like 11:00"),
        (("--market-tickers", "1000000"), "30000"),
    ],
)
def test_an_unusable_option_is_a_usage_error_and_starts_nothing(
    options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*options) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_no_address_that_others_could_reach_is_listened_on(host: str) -> None:
    with pytest.raises(NotLoopbackError, match=r"127\.0\.0\.1"):
        listen_on_loopback(host, 0)


def test_a_sandbox_stops_with_its_block_and_frees_the_port() -> None:
    with running_sandbox() as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(PortTakenError, match=str(port)):
            listen("127.0.0.1", port)
    with listen_on_loopback("localhost", port) as listener:
        assert listener.getsockname() == ("127.0.0.1", port)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)
