"""Four processes at 300 requests a minute: never more in a rolling minute, as the sandbox counts, and hardly fewer.

Run it with `python -m benchmarks.campaigns.rate_limit`; it takes about three minutes. Each process fetches ranges of
different symbols, one after the other on four threads, through the rate limit that they share in the database.
"""

import multiprocessing
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import requests
from pydantic import SecretStr

from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import WINDOW_SECONDS
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.rate_limit import SharedLimiter
from market_pipeline.warehouse.schema import migrate

LIMIT = 300
PROCESSES = 4
REQUESTS_EACH = 200


def fetch(address: SecretStr, base_url: str, first_letter: str) -> None:
    """Fetch a week of so many symbols that nobody else fetches."""
    engine = create_warehouse_engine(address)
    limiter = SharedLimiter(engine, LIMIT, window_seconds=WINDOW_SECONDS)
    names = [f"{first_letter}{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(REQUESTS_EACH)]
    with PolygonClient(base_url, None, source="sandbox", limiter=limiter) as client, ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda name: client.fetch_daily_bars(Symbol.of(name, "stock"), date(2024, 1, 2), date(2024, 1, 5)),
                names,
            )
        )
    engine.dispose()


def main() -> None:
    """Run the processes and print what the sandbox counted."""
    folder = Path(tempfile.mkdtemp(prefix="market-pipeline-benchmark-"))
    folder.chmod(0o755)
    server = embedded.ensure_running(folder)
    try:
        engine = create_warehouse_engine(server.url())
        migrate(engine)
        engine.dispose()
        with running_sandbox(SandboxConfig()) as base_url:
            context = multiprocessing.get_context("spawn")
            workers = [context.Process(target=fetch, args=(server.url(), base_url, letter)) for letter in "ABCD"]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            arrivals = sorted(requests.get(f"{base_url}/_sandbox/stats", timeout=10).json()["timestamps"])
    finally:
        embedded.destroy(folder)
    report(arrivals)


def report(arrivals: list[float]) -> None:
    """Print the busiest rolling minute and how much of the limit was used while there was work."""
    busiest = max(sum(start <= other < start + 60 for other in arrivals) for start in arrivals)
    # The last window's requests are sent at once; what counts is the pace up to there.
    windows = (len(arrivals) - 1) // LIMIT
    pace = windows * LIMIT / ((arrivals[windows * LIMIT] - arrivals[0]) / 60)
    print(f"{len(arrivals)} requests of {PROCESSES} processes in {arrivals[-1] - arrivals[0]:.1f} s")
    print(f"busiest rolling minute: {busiest} requests, limit {LIMIT}")
    print(f"pace while there was work: {pace:.0f} a minute, {pace / LIMIT:.0%} of the limit")


if __name__ == "__main__":
    main()
