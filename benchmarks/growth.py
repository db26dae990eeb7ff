"""Memory of the main job, 500 symbols x 5 years: does it grow with the number of symbols?

Run it with `.venv/bin/python benchmarks/memory.py`. It fetches generated bars from a sandbox, eight symbols at a time,
loads them with rules and revisions on in a process of its own, and prints that process's highest memory use after 50,
100, 200 and 500 symbols.
"""

import multiprocessing
import resource
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import SecretStr

from market_pipeline.ingest import Run, ingest
from market_pipeline.listing import refresh
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetching import Fetcher
from market_pipeline.polygon.rate_limit import LocalLimiter
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.server import running_sandbox
from market_pipeline.sessions import sessions_between
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import migrate
from market_pipeline.warehouse.tracked_symbols import add_symbols

SYMBOLS = [Symbol.of(f"Z{chr(65 + n // 26)}{chr(65 + n % 26)}", "stock") for n in range(500)]
SESSIONS = sessions_between("XNYS", date(2019, 1, 2), date(2023, 12, 29))
CHECKPOINTS = (50, 100, 200, 500)
AT_ONCE = 8


def load(address: str, base_url: str) -> None:
    """Load all symbols and print the peak at the checkpoints."""
    engine = create_warehouse_engine(SecretStr(address))
    migrate(engine)
    add_symbols(engine, SYMBOLS)
    began = time.monotonic()
    with PolygonClient(base_url, None, source="sandbox", limiter=LocalLimiter(100_000)) as client:
        vendor = Fetcher(client, SYMBOLS, SESSIONS, datetime.now(UTC))
        outcomes = ingest(
            SYMBOLS,
            SESSIONS,
            vendor=vendor,
            who_is=lambda symbol: refresh(client, engine, symbol),
            delisted={},
            warehouse=engine,
            run=Run("benchmark", "manual"),
            at_once=AT_ONCE,
        )
        rows = 0
        for number, outcome in enumerate(outcomes, start=1):
            rows += outcome.loaded
            if number in CHECKPOINTS:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(
                    f"{number:>4} symbols  {rows:>9,} bars  {time.monotonic() - began:6.1f} s  peak {peak:6.0f} MiB",
                    flush=True,
                )
    engine.dispose()


def main() -> None:
    """Start a database and a sandbox, and load in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="market-pipeline-benchmark-"))
    folder.chmod(0o755)
    server = embedded.ensure_running(folder)
    try:
        with running_sandbox(SandboxConfig()) as base_url:
            context = multiprocessing.get_context("spawn")
            loader = context.Process(target=load, args=(server.url().get_secret_value(), base_url))
            loader.start()
            loader.join()
    finally:
        embedded.destroy(folder)


if __name__ == "__main__":
    main()
