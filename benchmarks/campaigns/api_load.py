"""A hundred clients for a minute while backfills load, slow ones among them; then honest ones beside 100 slow ones.

Run it with `python -m benchmarks.campaigns.api_load`; it takes three minutes. The bars come from a sandbox on this
machine, into a PostgreSQL of its own; the API is `market-pipeline api` in a process of its own. It exits with 1 if any
error was the server's fault, if its memory grew by more than a tenth, or if slow clients double the others' p99.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

from benchmarks.campaigns.api_clients import Clients, Request, build_backfill_request
from benchmarks.campaigns.outcomes import Kind, Outcomes
from benchmarks.campaigns.slow_clients import BODY, HEAD, READER, SlowClients
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded

BIN = Path(sys.executable).parent
SYMBOLS = "AAPL,MSFT,GOOGL,AMZN,NVDA,TSLA,META,NFLX,AMD,INTC,PYPL,SQ,CRM,ADBE,MU"
FIRST_LOAD = ("2004-01-01", "2013-12-31")
DOWNLOAD = "/api/v1/tables/market_data?limit=30000&format=csv"
QUICK = (
    Request("historical, a bar", "/api/v1/historical/MSFT?start=2008-01-02&end=2008-01-02&adjustment=none", same=True),
    Request("table, 100 rows", "/api/v1/tables/market_data?order=date.desc&limit=100"),
    Request("status", "/api/v1/status"),
    Request("health", "/health"),
)
READING = (
    *QUICK,
    *QUICK,
    *QUICK,
    Request("historical, 400 bars",
            "/api/v1/historical/AAPL?start=2004-01-02&end=2005-08-01&adjustment=none", same=True),
    Request("historical, 2,500 bars, CSV",
            "/api/v1/historical/AAPL?start=2004-01-02&end=2013-12-31&adjustment=none&format=csv", same=True),
    Request("coverage", "/api/v1/tables/coverage"),
    Request("runs", "/api/v1/tables/runs?order=ended_at.desc&limit=10"),
)  # fmt: skip
MIXED = (
    *READING,
    Request("download, 20,000 rows, Arrow", "/api/v1/tables/market_data?limit=20000&format=arrow"),
    *READING,
    Request("download, 30,000 rows, CSV", DOWNLOAD),
)
ROUNDS = 6


@dataclass
class Memory:
    """Memory of a process, looked at every second."""

    process: psutil.Process
    sizes: list[int] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look while the block runs."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(1):
                self.sizes.append(self.process.memory_info().rss)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def growth(self) -> float:
        """The last ten seconds' largest, over that of the ten seconds after the first ten."""
        return max(self.sizes[-10:]) / max(self.sizes[10:20]) if len(self.sizes) > 20 else 1.0


@contextmanager
def served(environment: Mapping[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """The API in a process of its own, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = subprocess.Popen([BIN / "market-pipeline", "api", "--port", str(port)], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        while not is_responding(url):
            time.sleep(0.2)
        yield url, psutil.Process(api.pid)
    finally:
        api.send_signal(signal.SIGINT)
        api.wait()


def is_responding(url: str) -> bool:
    """Return True if the API responds."""
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


def run_command(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the project's; what it said is kept, not shown."""
    return subprocess.run(
        [BIN / "market-pipeline", *words], env=environment, capture_output=True, text=True, check=False
    )


@contextmanager
def loading(environment: Mapping[str, str], exit_codes: list[int]) -> Iterator[None]:
    """Backfills one after the other, a year further back each, while the block runs."""
    over = threading.Event()

    def load() -> None:
        for year in range(2024, 2013, -1):
            if over.is_set():
                return
            dates = ("--start", f"{year}-01-01", "--end", f"{year}-12-31")
            exit_codes.append(run_command(environment, "backfill", "--symbols", SYMBOLS, *dates, "--quiet").returncode)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run_mixed(
    environment: Mapping[str, str], url: str, process: psutil.Process, key: str, options: argparse.Namespace
) -> bool:
    """The first part; whether all went well."""
    posts = [build_backfill_request(key, ["AAPL"], "2020-01-01", "2020-12-31")]
    honest = Clients(url, [*MIXED, *posts])
    slow_kinds = [READER] * options.slow + [HEAD, BODY] * (options.slow // 2)
    number = options.clients - len(slow_kinds)
    honest.run(number, 5, Outcomes())  # until every connection and every buffer is there
    answered, slow_ends = Outcomes(), Outcomes()
    memory = Memory(process)
    exit_codes: list[int] = []
    with (
        loading(environment, exit_codes),
        memory.watched(),
        SlowClients(url, slow_kinds, key, DOWNLOAD, slow_ends).running(),
    ):
        honest.run(number, options.seconds, answered)
    answered.print(f"{number} honest clients for {options.seconds:.0f} s")
    slow_ends.print(f"beside them {options.slow} slow readers and {options.slow} slow senders")
    print(f"backfills meanwhile: {len(exit_codes)}, exit codes {sorted(set(exit_codes))}")
    shown = ", ".join(f"{size / 1e6:.0f}" for size in memory.sizes[::10])
    print(f"memory of the API, MB, every 10 s: {shown}; largest {max(memory.sizes) / 1e6:.0f}")
    faults = answered.count(Kind.FAULT) + slow_ends.count(Kind.FAULT)
    return faults == 0 and set(exit_codes) <= {0} and memory.growth < 1.1


def run_beside_slow(url: str, key: str, options: argparse.Namespace) -> bool:
    """The second part: the same honest clients in turns alone and beside 100 slow connections."""
    honest = Clients(url, QUICK)
    all_alone, all_beside, ends = Outcomes(), Outcomes(), Outcomes()
    kinds = [HEAD, BODY] * (2 * options.clients // 5) + [READER] * (options.clients // 5)
    ratios = []
    for _ in range(ROUNDS):
        alone, beside = Outcomes(), Outcomes()
        honest.run(8, options.seconds / 10, alone)
        with SlowClients(url, kinds, key, DOWNLOAD, ends).running():
            time.sleep(2)
            honest.run(8, options.seconds / 10, beside)
        ratios.append(beside.compute_percentile(99) / alone.compute_percentile(99))
        all_alone.include(alone)
        all_beside.include(beside)
    all_alone.print("8 honest clients alone")
    all_beside.print(f"the same beside {len(kinds)} slow connections")
    ends.print("ends of the slow connections")
    ratio = statistics.median(ratios)
    print(f"p99 beside slow connections / alone: {ratio:.2f}, rounds {min(ratios):.2f} to {max(ratios):.2f}")
    return ratio < 2 and sum(each.count(Kind.FAULT) for each in (all_alone, all_beside, ends)) == 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in a warehouse of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--slow", type=int, default=10, help="Slow readers among them, and slow senders.")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, running_sandbox() as sandbox:
        Path(folder).chmod(0o755)
        environment = {
            **os.environ, "MARKET_PIPELINE_DATA_DIR": folder, "API_REQUESTS_PER_MINUTE": "0",
            "POLYGON_BASE_URL": sandbox, "POLYGON_API_KEY": "sandbox",
        }  # fmt: skip
        environment.pop("DATABASE_URL", None)
        try:
            run_command(environment, "symbols", "init").check_returncode()
            key = run_command(environment, "keys", "create", "campaign", "--scope", "admin").stdout.strip()
            start, end = FIRST_LOAD
            dates = ("--start", start, "--end", end, "--quiet")
            run_command(environment, "backfill", "--symbols", SYMBOLS, *dates).check_returncode()
            with served(environment) as (url, process):
                is_well = [run_mixed(environment, url, process, key, options), run_beside_slow(url, key, options)]
        finally:
            embedded.destroy(Path(folder))
    sys.exit(0 if all(is_well) else 1)


if __name__ == "__main__":
    main()
