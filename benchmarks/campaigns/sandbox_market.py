"""The sandbox's market of 11,000 tickers: tickers traded by grouped response, flat file and truth; times and memory.

Run it with `python -m benchmarks.campaigns.sandbox_market [STEP]`; it compares each STEP-th session of five years, by
default each 25th, in about half a minute.
"""

import gzip
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import orjson
import requests
from pyarrow.fs import S3FileSystem

from market_pipeline.core.markets import MARKETS
from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline_tests.market_truth import traded_tickers

CONFIG = SandboxConfig(now=datetime(2026, 11, 27, 16, tzinfo=UTC), market_tickers=11_000)
FIRST, LAST = date(2021, 11, 26), date(2026, 11, 25)
COMMAND = ("market-pipeline", "sandbox", "--port", "0", "--now", "2026-11-27T16:00", "--market-tickers", "11000")
MARKET = MARKETS["us_stocks"]


def main(step: int) -> None:
    """Start the sandbox, compare the sessions and print the result."""
    command = [str(Path(sys.executable).with_name(COMMAND[0])), *COMMAND[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().partition("=")[2]
        try:
            compare_sessions(url, list_sessions("XNYS", FIRST, LAST)[::step])
            print(f"memory of the sandbox at its peak: {read_peak_megabytes(process.pid):.0f} MB")
        finally:
            process.terminate()


def compare_sessions(url: str, sessions: list[date]) -> None:
    """Compare the tickers of each session by three ways, and print the times of two."""
    files = S3FileSystem(
        endpoint_override=url.removeprefix("http://"), scheme="http", access_key="a", secret_key="b", region="us-east-1"
    )
    grouped_times, file_times, rows, different = [], [], 0, 0
    read_grouped(url, sessions[0])  # makes the histories of the recorded tickers
    for session in sessions:
        truth = set(traded_tickers(CONFIG, session))
        grouped, seconds = measure(partial(read_grouped, url, session))
        grouped_times.append(seconds)
        content, seconds = measure(partial(read_file, files, session))
        file_times.append(seconds)
        listed = {line.partition(b",")[0].decode() for line in gzip.decompress(content).splitlines()[1:]}
        tickers = {bar["T"] for bar in orjson.loads(grouped)["results"]}
        different += not truth == tickers == listed
        rows += len(truth)
    print(f"{len(sessions)} sessions, {rows:,} bars; sessions with different tickers: {different}")
    for name, times in (("grouped response", grouped_times), ("flat file", file_times)):
        print(f"{name}: median {1000 * statistics.median(times):.0f} ms, fastest {1000 * min(times):.0f} ms")


def measure(work: Callable[[], bytes]) -> tuple[bytes, float]:
    """Return the result of some work and its time in seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def read_grouped(url: str, session: date) -> bytes:
    """Return the body of a session's grouped response."""
    path = f"/v2/aggs/grouped/locale/{MARKET.grouped}/{session}?adjusted=false"
    return requests.get(url + path, headers={"Authorization": "Bearer sandbox"}, timeout=60).content


def read_file(files: S3FileSystem, session: date) -> bytes:
    """Return a session's flat file in one request after the HEAD."""
    with files.open_input_file(f"flatfiles/{MARKET.file_of(session)}") as file:
        return bytes(file.read())


def read_peak_megabytes(process: int) -> float:
    """Return the most memory that a process has had."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
