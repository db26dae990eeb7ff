"""A hundred clients at once for a minute while a backfill loads: every answer is right, and memory stays flat.

Run it with `python -m benchmarks.campaigns.api_load`. The bars come from a sandbox on this machine, into a PostgreSQL
of its own; the API is `market-pipeline api` in a process of its own. It exits with 1 if any answer was an error.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import requests

from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded

BIN = Path(sys.executable).parent
SYMBOLS = "AAPL,MSFT,GOOGL,AMZN,NVDA,TSLA,META,NFLX,AMD,INTC,PYPL,SQ,CRM,ADBE,MU"
ASKED = (
    "/api/v1/historical/AAPL?start=2004-01-01&end=2005-08-01&adjustment=none",
    "/api/v1/historical/MSFT?start=2008-01-02&end=2008-01-02",
    "/api/v1/tables/market_data?symbol=eq.AAPL&limit=2000&format=csv",
    "/api/v1/tables/market_data?limit=20000&format=arrow",
    "/api/v1/tables/market_data?order=date.desc&limit=100",
    "/api/v1/tables/coverage",
    "/api/v1/tables/runs?order=ended_at.desc&limit=10",
    "/api/v1/status",
    "/health",
)


def clients(url: str, number: int, seconds: float) -> tuple[Counter[str], list[float]]:
    """Have so many clients ask for one thing after another; what they got, and how long each answer took."""
    got: Counter[str] = Counter()
    took: list[float] = []
    end = time.monotonic() + seconds

    def client(first: int) -> None:
        with requests.Session() as session:
            turn = first
            while time.monotonic() < end:
                asked = ASKED[turn % len(ASKED)]
                begun = time.perf_counter()
                try:
                    answer = session.get(url + asked, timeout=60)
                    got[
                        str(answer.status_code) if answer.ok else f"{answer.status_code} {asked}: {answer.text[:200]}"
                    ] += 1
                except requests.RequestException as error:
                    got[f"{type(error).__name__} {asked}"] += 1
                took.append(time.perf_counter() - begun)
                turn += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got, took


@contextmanager
def served(environment: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """The API in a process of its own, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = subprocess.Popen([BIN / "market-pipeline", "api", "--port", str(port)], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        while not answers(url):
            time.sleep(0.2)
        yield url, psutil.Process(api.pid)
    finally:
        api.send_signal(signal.SIGINT)
        api.wait()


def answers(url: str) -> bool:
    """Whether the API answers yet."""
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def loading(environment: dict[str, str], loads: list[int]) -> Iterator[None]:
    """Backfills one after the other, years further back each, while the block runs; their exit codes."""
    over = threading.Event()

    def load() -> None:
        for year in range(2024, 2004, -1):
            if over.is_set():
                return
            dates = ["--start", f"{year}-01-01", "--end", f"{year}-12-31"]
            command: list[str | Path] = [BIN / "market-pipeline", "backfill", "--symbols", SYMBOLS, *dates, "--quiet"]
            loads.append(subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def measure(environment: dict[str, str], number: int, seconds: float) -> int:
    """Print what came of it; the number of errors."""
    loads: list[int] = []
    with served(environment) as (url, process):
        clients(url, number, 5)  # until every connection and every buffer is there
        sizes = [process.memory_info().rss]
        begun = time.monotonic()
        got: Counter[str] = Counter()
        took: list[float] = []
        with loading(environment, loads):
            while time.monotonic() - begun < seconds:
                some, times = clients(url, number, min(10, seconds))
                got.update(some)
                took += times
                sizes.append(process.memory_info().rss)
    wrong = sum(count for kind, count in got.items() if kind != "200")
    hundredths = statistics.quantiles(took, n=100)
    print(f"{number} clients for {seconds:.0f} s: {got.total():,} answers, {wrong} errors")
    print(f"median {1000 * hundredths[49]:.0f} ms, p99 {1000 * hundredths[98]:.0f} ms")
    print(f"backfills meanwhile: {len(loads)}, exit codes {sorted(set(loads))}")
    print("memory of the API, MB, every 10 s: " + ", ".join(f"{size / 1e6:.0f}" for size in sizes))
    for kind, count in got.most_common():
        if kind != "200":
            print(f"  {count} x {kind}")
    return wrong


def main() -> None:
    """Measure in a warehouse of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, running_sandbox() as sandbox:
        Path(folder).chmod(0o755)
        environment = {
            **os.environ, "MARKET_PIPELINE_DATA_DIR": folder, "API_REQUESTS_PER_MINUTE": "0",
            "POLYGON_BASE_URL": sandbox, "POLYGON_API_KEY": "sandbox",
        }  # fmt: skip
        environment.pop("DATABASE_URL", None)
        try:
            subprocess.run(
                [BIN / "market-pipeline", "symbols", "init"], env=environment, capture_output=True, check=True
            )
            first = ["--symbols", "AAPL,MSFT", "--start", "2004-01-01", "--end", "2008-12-31", "--quiet"]
            command = [str(BIN / "market-pipeline"), "backfill", *first]
            subprocess.run(command, env=environment, capture_output=True, check=True)
            wrong = measure(environment, options.clients, options.seconds)
        finally:
            embedded.destroy(Path(folder))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
