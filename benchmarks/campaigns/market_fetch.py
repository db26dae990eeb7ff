"""Sessions of a market of 11,000 tickers, from HTTP to arrays: flat files and grouped responses, and what bounds them.

Run it with `python -m benchmarks.campaigns.market_fetch`; it takes a minute or two. The sandbox is a process of its
own. It makes each response in the first pass, whose pace is the sandbox's, and sends it from its memory in the others.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pydantic import SecretStr

from benchmarks.stage import read_peak_mib, sandbox
from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import MARKETS, Origin
from market_pipeline.core.sessions import list_last_sessions
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.flat_file_reader import FlatFileKeys, FlatFileReader
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.market_fetcher import MarketFetcher
from market_pipeline.sandbox.config import SandboxConfig

US_STOCKS = MARKETS["us_stocks"]
LAST = date(2024, 6, 28)
NOW = datetime(2024, 8, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Pass:
    """One pass over the sessions: bars, seconds, this process's CPU seconds, and its peak memory in MiB."""

    bars: int
    seconds: float
    cpu: float
    mib: float

    def __str__(self) -> str:
        return (
            f"{self.bars:,} bars in {self.seconds:.1f} s: {self.bars / self.seconds:,.0f} bars/s; "
            f"{self.cpu / self.bars * 11_000 * 1000:.1f} ms of CPU per 11,000 bars, which is "
            f"{self.bars / self.cpu:,.0f} bars/s of one core; peak {self.mib:.0f} MiB"
        )


def fetch(base_url: str, sessions: Sequence[date], origin: Origin) -> Pass:
    """Fetch the sessions by one interface, and keep none of them."""
    keys = FlatFileKeys(SecretStr("access"), SecretStr("secret"))
    with (
        PolygonClient(base_url, None, source="sandbox", limiter=LocalLimiter(60_000)) as client,
        FlatFileReader(base_url, keys, source="sandbox") as files,
        MarketFetcher(
            client,
            US_STOCKS,
            now=NOW,
            requests_per_minute=5_000,
            files=files if origin is Origin.FLAT_FILE else None,
        ) as fetcher,
    ):
        bars, begun, cpu = 0, time.perf_counter(), time.process_time()
        for result in fetcher.iterate(sessions, sessions):
            if not isinstance(result, MarketSession):
                raise SystemExit(f"{result.session}: {result.message}")
            assert result.origin is origin, (result.origin, result.notes)
            bars += len(result.tickers)
        return Pass(bars, time.perf_counter() - begun, time.process_time() - cpu, read_peak_mib())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the passes and print each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickers", type=int, default=11_000)
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument("--passes", type=int, default=3)
    options = parser.parse_args(arguments)
    sessions = list_last_sessions("XNYS", LAST, options.sessions)
    config = SandboxConfig(market_tickers=options.tickers, now=NOW)
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, peak before {read_peak_mib():.0f} MiB")
    with sandbox(config, cached=True) as base_url:
        for origin in Origin:
            print(f"{origin}, made by the sandbox: {fetch(base_url, sessions, origin)}")
            for number in range(options.passes):
                print(f"{origin}, cached, pass {number + 1}: {fetch(base_url, sessions, origin)}")


if __name__ == "__main__":
    main()
